// @ts-check
/** The WebRTC link: negotiation, trickle ICE, and bringing a lost network's call back. */

import { ClientError, inWords, unanswered } from "./errors.js";
import { part, sleep, until } from "./link.js";

/** How long a connection may be "disconnected" before it is restarted. Browsers often recover alone. */
const PATIENCE_MS = 2000;
/** Pauses between attempts to reconnect; after the last one the call is over. */
const RETRY_MS = [0, 1000, 2000, 4000, 8000, 10000];
/** How long one attempt may take, to be answered and then to connect. */
const ATTEMPT_MS = 8000;
/** How long the first offer may wait for its answer: some servers are only then started. */
const ANSWER_MS = 30000;
const NO_PATH = "The server answered, but no sound or picture can reach it. A firewall may be in the way.";

/**
 * @typedef {object} PeerOptions
 * @property {import("./signalling.js").Signalling} signalling
 * @property {RTCConfiguration} configuration
 * @property {"send-receive" | "send" | "receive"} mode
 * @property {{ audio: boolean, video: boolean }} kinds
 * @property {MediaStream} local what to send
 * @property {boolean} stereo the microphone is to be sent in stereo
 * @property {Partial<RTCRtpSendParameters>} rtpParams for the picture that is sent
 * @property {number} connectMs how long the first connection may take
 */

/** @implements {Link} */
export class PeerLink {
  name = /** @type {const} */ ("webrtc");

  /** @param {PeerOptions} options @param {LinkEvents} events */
  constructor(options, events) {
    this.options = options;
    this.events = events;
    this.pc = new RTCPeerConnection(options.configuration);
    this.channel = this.pc.createDataChannel("text");
    /** @type {RTCIceCandidate[]} */
    this.candidates = [];
    this.answered = false;
    this.offered = false;
    this.restarting = false;
    this.wasUp = false;
    this.over = new AbortController();
    this.negotiating = Promise.resolve();
    this.patience = 0;
    this.onNetworkChange = () => {
      if (this.wasUp) this.reconnect();
    };
  }

  get closed() {
    return this.over.signal.aborted;
  }

  async open() {
    this.prepare();
    await this.offer(false, ANSWER_MS);
    await this.up(this.options.connectMs);
  }

  /** @param {string} text */
  send(text) {
    if (this.channel.readyState !== "open") return false;
    this.channel.send(text);
    return true;
  }

  /** @param {MediaStreamTrack} track */
  async replaceTrack(track) {
    const sender = this.pc.getTransceivers().find(({ receiver }) => receiver.track.kind === track.kind)?.sender;
    await sender?.replaceTrack(track);
  }

  close() {
    if (this.closed) return;
    this.over.abort(new ClientError("ended", "The call was ended."));
    clearTimeout(this.patience);
    removeEventListener("online", this.onNetworkChange);
    networkInformation()?.removeEventListener("change", this.onNetworkChange);
    part(this.sayGoodbye());
    // A goodbye may overtake the offer, which then takes a place all the same: one more when it is answered.
    part(this.negotiating);
    this.channel.close();
    this.pc.close();
  }

  /** @returns {Promise<Counts>} */
  async count() {
    const { counted } = await import("./counts.js");
    return counted(await this.pc.getStats());
  }

  // Inside.

  prepare() {
    const { pc, options } = this;
    const direction = { "send-receive": "sendrecv", send: "sendonly", receive: "recvonly" }[options.mode];
    for (const kind of /** @type {const} */ (["audio", "video"])) {
      if (!options.kinds[kind]) continue;
      const track = options.local.getTracks().find((track) => track.kind === kind);
      const init = { direction: /** @type {RTCRtpTransceiverDirection} */ (direction), streams: [options.local] };
      const { sender } = pc.addTransceiver(track ?? kind, init);
      if (kind === "video" && Object.keys(options.rtpParams).length) {
        sender.setParameters({ ...sender.getParameters(), ...options.rtpParams }).catch((error) => {
          console.warn("fastrtc: rtp_params were not taken:", error);
        });
      }
    }
    this.channel.onmessage = ({ data }) => this.events.data(data);
    pc.ontrack = ({ track }) => this.events.track(track);
    pc.onicecandidate = ({ candidate }) => {
      if (!candidate) return;
      this.candidates.push(candidate);
      this.postCandidates();
    };
    pc.onconnectionstatechange = () => this.follow(pc.connectionState);
    addEventListener("online", this.onNetworkChange);
    networkInformation()?.addEventListener("change", this.onNetworkChange);
  }

  /** @param {RTCPeerConnectionState} connection */
  follow(connection) {
    clearTimeout(this.patience);
    if (this.closed) return;
    if (connection === "connected") {
      this.beUp();
    } else if (!this.wasUp) {
      return; // open() is waiting and tells.
    } else if (connection === "failed") {
      this.reconnect();
    } else if (connection === "disconnected") {
      this.patience = setTimeout(() => this.reconnect(), PATIENCE_MS);
    } else if (connection === "closed") {
      this.events.end(new ClientError("lost", "The connection was closed."));
    }
  }

  /** Restarts ICE until the connection is back, with growing pauses; the server keeps the handler. */
  async reconnect() {
    if (this.restarting || this.closed) return;
    this.restarting = true;
    this.events.down();
    let problem = new ClientError("lost", "The connection was lost and did not come back.");
    for (const pause of RETRY_MS) {
      await sleep(pause);
      if (this.closed) return;
      try {
        await this.offer(true, ATTEMPT_MS);
        await this.up(ATTEMPT_MS);
        this.restarting = false;
        return;
      } catch (error) {
        problem = inWords(error);
        if (error instanceof ClientError && error.final) break;
      }
    }
    this.events.end(problem);
  }

  /**
   * Negotiates, and gives up after a while: networks lose requests without a word.
   * @param {boolean} iceRestart
   * @param {number} withinMs
   */
  async offer(iceRestart, withinMs) {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(unanswered()), withinMs);
    this.negotiating = this.negotiate(iceRestart, late.signal);
    try {
      await until(late.signal, this.negotiating);
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {boolean} iceRestart @param {AbortSignal} late given when nobody waits for it any longer */
  async negotiate(iceRestart, late) {
    const { pc } = this;
    const { signal } = this.over;
    this.answered = false;
    this.candidates = [];
    if (pc.signalingState === "have-local-offer") await until(signal, pc.setLocalDescription({ type: "rollback" }));
    const offer = await until(signal, pc.createOffer({ iceRestart }));
    offer.sdp = withStereo(offer.sdp ?? "", this.options.stereo);
    await until(signal, pc.setLocalDescription(offer));
    this.offered = true;
    // Not left when the call is: a place that was taken has to be given back.
    const answer = await this.ask({ sdp: pc.localDescription?.sdp ?? offer.sdp, type: "offer" });
    if (this.closed) return this.sayGoodbye();
    if (late.aborted) return;
    this.answered = true;
    await until(signal, pc.setRemoteDescription(answer));
    this.postCandidates();
  }

  /** Sends an offer; one that is refused takes no place. @param {{ sdp: string, type: "offer" }} offer */
  async ask(offer) {
    try {
      return await this.options.signalling.send(offer);
    } catch (error) {
      if (error instanceof ClientError && error.final) this.offered = this.wasUp;
      throw error;
    }
  }

  /** Posts what candidates there are, once the server knows the offer they belong to. */
  postCandidates() {
    if (!this.pc.remoteDescription || !this.answered) return;
    for (const candidate of this.candidates.splice(0)) {
      this.options.signalling.send({ candidate: candidate.toJSON(), type: "ice-candidate" }).catch((error) => {
        // One candidate less is no reason to stop: the others may do.
        console.warn("fastrtc: a candidate was not taken:", error);
      });
    }
  }

  /**
   * Resolves once the connection is up.
   * @param {number} withinMs
   */
  async up(withinMs) {
    const { pc } = this;
    const deadline = performance.now() + withinMs;
    while (pc.connectionState !== "connected" || pc.iceConnectionState === "checking") {
      this.over.signal.throwIfAborted();
      const failed = !this.wasUp && pc.connectionState === "failed";
      if (failed || performance.now() > deadline) throw new ClientError("no-path", NO_PATH, false);
      await sleep(20);
    }
    this.beUp();
  }

  beUp() {
    this.wasUp = true;
    this.events.up();
  }

  /** Media says so with a single packet, if it flows: a server that misses it keeps our place for half a minute. */
  async sayGoodbye() {
    const sdp = this.pc.localDescription?.sdp;
    if (!sdp || !this.offered) return;
    await this.options.signalling.send({ sdp, type: "bye" }, { keepalive: true });
  }
}

/**
 * Asks for stereo in an offer's opus line: without it browsers play one channel.
 * @param {string} sdp
 * @param {boolean} sends whether we send it too
 */
export function withStereo(sdp, sends) {
  const payload = /a=rtpmap:(\d+) opus\/48000/i.exec(sdp)?.[1];
  if (!payload || new RegExp(`a=fmtp:${payload} .*stereo=1`).test(sdp)) return sdp;
  const wanted = sends ? ";stereo=1;sprop-stereo=1" : ";stereo=1";
  return sdp.replace(new RegExp(`(a=fmtp:${payload} [^\\r\\n]*)`), `$1${wanted}`);
}

/** Chromium tells pages when the network changes. @returns {EventTarget | undefined} */
function networkInformation() {
  return /** @type {{ connection?: EventTarget }} */ (/** @type {unknown} */ (navigator)).connection;
}

/** @typedef {import("./link.js").Link} Link */
/** @typedef {import("./link.js").LinkEvents} LinkEvents */
/** @typedef {import("./counts.js").Counts} Counts */
