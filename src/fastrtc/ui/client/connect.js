// @ts-check
/** Which link carries a call: WebRTC, or a WebSocket where no WebRTC passes. Keeps no state. */

import { ClientError } from "./errors.js";
import { parted } from "./link.js";
import { PeerLink } from "./peer.js";

/** How long the first connection may take when there is nothing to fall back to. */
const CONNECT_MS = 20000;
/** The same where there is a WebSocket, which carries sound well, and pictures at ten times the cost. */
const FALLBACK_MS = { audio: 6000, video: 12000 };

/**
 * @typedef {object} Wanted
 * @property {import("./options.js").ClientOptions} options
 * @property {string} id
 * @property {string} url where the stream is mounted
 * @property {"send-receive" | "send" | "receive"} mode
 * @property {{ audio: boolean, video: boolean }} kinds
 * @property {import("./signalling.js").Signalling} signalling
 * @property {MediaStream} local what to send
 */

/**
 * What a call does meanwhile.
 * @typedef {object} Caller
 * @property {import("./link.js").LinkEvents} events
 * @property {(link: import("./link.js").Link) => void} use this link is tried from now on
 * @property {() => void} goOn throws when the call was ended
 */

/**
 * Resolves once media flows.
 * @param {Wanted} wanted
 * @param {RTCConfiguration} configuration
 * @param {Caller} caller
 */
export async function connect(wanted, configuration, caller) {
  const { options } = wanted;
  const { transport = "auto", fallbackAfterMs = FALLBACK_MS[wanted.kinds.video ? "video" : "audio"] } = options;
  const hasSocket = !options.signal || options.socketUrl !== undefined;
  const canFallBack = transport === "auto" && hasSocket;
  await parted();
  caller.goOn();
  if (transport !== "websocket") {
    try {
      await openPeer(wanted, configuration, canFallBack ? fallbackAfterMs : CONNECT_MS, caller);
      return;
    } catch (error) {
      caller.goOn();
      if (!canFallBack || !(error instanceof ClientError && error.code === "no-path")) throw error;
      await parted();
      const isServed = await openSocket(wanted, caller).catch((problem) => {
        // There is none for this stream, so what is wrong is that nothing passes.
        if (problem instanceof ClientError && problem.code === "refused") return false;
        throw problem;
      });
      if (!isServed) throw error;
      return;
    }
  }
  if (!(await openSocket(wanted, caller))) {
    throw new ClientError("unreachable", "The server takes no WebSocket.", false);
  }
}

/** @param {Wanted} wanted @param {RTCConfiguration} configuration @param {number} connectMs @param {Caller} caller */
async function openPeer(wanted, configuration, connectMs, caller) {
  const { options, signalling, mode, kinds, local } = wanted;
  const { stereo = false, rtpParams = {} } = options;
  const link = new PeerLink(
    { signalling, configuration, mode, kinds, local, stereo, rtpParams, connectMs },
    caller.events,
  );
  caller.use(link);
  try {
    await link.open();
  } catch (error) {
    link.close();
    throw error;
  }
}

/** False when there is no WebSocket. @param {Wanted} wanted @param {Caller} caller */
async function openSocket(wanted, caller) {
  const { SocketLink } = await import("./socket.js");
  const { options, url, id, mode, kinds, local } = wanted;
  const path = options.socketUrl ? await options.socketUrl() : `${url}/websocket/offer`;
  if (!path) return false;
  const where = new URL(path, document.baseURI);
  where.protocol = where.protocol.replace("http", "ws");
  caller.goOn();
  const link = new SocketLink({ url: where.href, id, kinds, local, receives: mode !== "send" }, caller.events);
  caller.use(link);
  await link.open();
  return true;
}
