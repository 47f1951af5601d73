// @ts-check
/**
 * A browser's side of a call to a fastrtc stream: microphone, connection, messages, reconnection.
 * It draws nothing and touches no element of the page: pages listen to its events.
 *
 * ```js
 * import { Call } from "./call.js";
 * const call = new Call({ url: "/webrtc/offer" });
 * call.addEventListener("state", () => console.log(call.state));
 * await call.start(); // asks for the microphone, resolves once the server has answered
 * ```
 *
 * Events: `state` (read `call.state`), `message` (`detail` is what the server's data channel said,
 * parsed when it is JSON), `problem` (`detail` is a sentence for the person at the screen; the call
 * goes on), `track` (`detail` is the MediaStream that came).
 */

/**
 * `idle` before start, `asking` for the microphone, `connecting`, `live`, `reconnecting` after the
 * network went away, `closed`: then `call.reason` says why in words, or is empty after `close()`.
 * @typedef {"idle" | "asking" | "connecting" | "live" | "reconnecting" | "closed"} CallState
 */

/**
 * @typedef {object} CallOptions
 * @property {string} [url] where offers are posted
 * @property {string} [id] the client's name for the call; an unguessable one is made otherwise
 * @property {"send-receive" | "send" | "receive"} [mode] named from the client, as on the server
 * @property {MediaTrackConstraints} [constraints] for the microphone
 * @property {boolean} [stereo] ask for stereo in both directions
 * @property {RTCConfiguration} [configuration] STUN and TURN servers for this browser
 * @property {Record<string, string>} [headers] sent with each request, to authorize it
 */

/** @type {MediaTrackConstraints} */
const MICROPHONE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
/** How long a connection may be "disconnected" before it is restarted. Browsers often recover alone. */
const PATIENCE_MS = 2000;
/** Pauses between attempts to reconnect; after the last one the call is closed. */
const RETRY_MS = [0, 1000, 2000, 4000, 8000, 10000];
/** How long one attempt may take. */
const ATTEMPT_MS = 8000;
/** How long the first connection may take. */
const CONNECT_MS = 20000;

/** What went wrong, in words for the person at the screen. */
export class CallError extends Error {
  /**
   * @param {string} message
   * @param {boolean} [final] whether trying again is of no use
   */
  constructor(message, final = false) {
    super(message);
    this.name = "CallError";
    this.final = final;
  }
}

export class Call extends EventTarget {
  /** @param {CallOptions} [options] */
  constructor(options = {}) {
    super();
    this.options = { url: "webrtc/offer", mode: "send-receive", stereo: false, ...options };
    this.id = options.id ?? unguessable();
    /** @type {CallState} */
    this.state = "idle";
    this.reason = "";
    /** @type {MediaStream | null} */
    this.microphone = null;
    /** @type {MediaStream | null} */
    this.heard = null;
    /** Milliseconds from the first offer to the connection. @type {number | null} */
    this.connectMs = null;
    /** @type {RTCPeerConnection | null} */
    this.pc = null;
    /** @type {RTCDataChannel | null} */
    this.channel = null;
    /** @type {RTCIceCandidate[]} */
    this.candidates = [];
    this.answered = false;
    this.restarting = false;
    this.startedAt = 0;
    this.patience = 0;
    this.onNetworkChange = () => {
      if (this.state === "live" || this.state === "reconnecting") this.reconnect();
    };
  }

  /**
   * Asks for the microphone and connects. Call it from a click: browsers play sound only then.
   * Rejects with a {@link CallError}; the call is then closed and a new one is needed.
   */
  async start() {
    if (this.state !== "idle") throw new CallError(`This call is ${this.state}; start a new one.`, true);
    try {
      if (this.options.mode !== "receive") {
        this.become("asking");
        this.microphone = await openMicrophone({
          ...MICROPHONE,
          ...(this.options.stereo ? { channelCount: 2 } : {}),
          ...this.options.constraints,
        });
        if (this.closed) throw new CallError("The call was ended before it began.", true);
      }
      this.become("connecting");
      this.connect();
      await this.negotiate(false);
      await this.up(CONNECT_MS);
    } catch (error) {
      const sentence = inWords(error);
      this.end(sentence);
      throw new CallError(sentence, true);
    }
  }

  /**
   * Sends a message on the data channel; objects go as JSON. False while the channel is not open.
   * @param {string | object} message
   */
  send(message) {
    if (this.channel?.readyState !== "open") return false;
    this.channel.send(typeof message === "string" ? message : JSON.stringify(message));
    return true;
  }

  /** Hangs up and gives the microphone back. */
  close() {
    this.end("");
  }

  /** The network's round trip in milliseconds, null while it is not known. */
  async roundTripMs() {
    const stats = (await this.pc?.getStats()) ?? new Map();
    for (const entry of stats.values()) {
      if (entry.type === "candidate-pair" && entry.nominated && entry.currentRoundTripTime !== undefined) {
        return entry.currentRoundTripTime * 1000;
      }
    }
    return null;
  }

  get closed() {
    return this.state === "closed";
  }

  connect() {
    const pc = new RTCPeerConnection(this.options.configuration);
    this.pc = pc;
    const [track] = this.microphone?.getAudioTracks() ?? [];
    if (track && this.microphone) {
      const direction = this.options.mode === "send" ? "sendonly" : "sendrecv";
      pc.addTransceiver(track, { direction, streams: [this.microphone] });
      track.addEventListener("ended", () => this.end("The microphone was unplugged or taken away."));
    } else {
      pc.addTransceiver("audio", { direction: "recvonly" });
    }
    this.channel = pc.createDataChannel("text");
    this.channel.onmessage = ({ data }) => this.read(data);
    pc.ontrack = ({ track, streams }) => {
      this.heard = streams[0] ?? new MediaStream([track]);
      this.dispatchEvent(new CustomEvent("track", { detail: this.heard }));
    };
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
      this.connectMs ??= performance.now() - this.startedAt;
      this.become("live");
    } else if (this.state === "connecting") {
      return;
    } else if (connection === "failed") {
      this.reconnect();
    } else if (connection === "disconnected") {
      this.patience = setTimeout(() => this.reconnect(), PATIENCE_MS);
    } else if (connection === "closed") {
      this.end("The connection was closed.");
    }
  }

  /** Restarts ICE until the connection is back, with growing pauses; the server keeps the handler. */
  async reconnect() {
    if (this.restarting || this.closed) return;
    this.restarting = true;
    this.become("reconnecting");
    let problem = "The connection was lost and did not come back.";
    for (const pause of RETRY_MS) {
      await sleep(pause);
      if (this.closed) return;
      try {
        await this.negotiate(true);
        await this.up(ATTEMPT_MS);
        this.restarting = false;
        return;
      } catch (error) {
        problem = inWords(error);
        if (error instanceof CallError && error.final) break;
      }
    }
    this.end(problem);
  }

  /** @param {boolean} iceRestart */
  async negotiate(iceRestart) {
    const pc = /** @type {RTCPeerConnection} */ (this.pc);
    this.answered = false;
    this.candidates = [];
    if (pc.signalingState === "have-local-offer") await pc.setLocalDescription({ type: "rollback" });
    const offer = await pc.createOffer({ iceRestart });
    if (this.options.stereo) offer.sdp = withStereo(offer.sdp ?? "");
    await pc.setLocalDescription(offer);
    this.startedAt ||= performance.now();
    const answer = await this.post({ sdp: pc.localDescription?.sdp ?? offer.sdp, type: "offer" });
    if (this.closed) return;
    await pc.setRemoteDescription(/** @type {RTCSessionDescriptionInit} */ (answer));
    this.answered = true;
    this.postCandidates();
  }

  /** Posts what candidates there are, once the server knows the offer they belong to. */
  postCandidates() {
    if (!this.answered) return;
    for (const candidate of this.candidates.splice(0)) {
      this.post({ candidate: candidate.toJSON(), type: "ice-candidate" }).catch((error) => {
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
    const pc = /** @type {RTCPeerConnection} */ (this.pc);
    const deadline = performance.now() + withinMs;
    while (pc.connectionState !== "connected" || pc.iceConnectionState === "checking") {
      if (this.closed) throw new CallError(this.reason || "The call was ended.", true);
      if (performance.now() > deadline) {
        throw new CallError("The server answered, but no sound can reach it. A firewall may be in the way.");
      }
      await sleep(20);
    }
    this.become("live");
  }

  /** @param {object} body */
  async post(body) {
    const response = await fetch(this.options.url, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...this.options.headers },
      body: JSON.stringify({ ...body, webrtc_id: this.id }),
    });
    const answer = await response.json().catch(() => ({}));
    if (answer.status === "failed") throw refusal(answer.meta ?? {});
    if (response.status === 401 || response.status === 403) {
      throw new CallError("The server did not let you in. Sign in and try again.", true);
    }
    if (!response.ok) throw new CallError(`The server refused the call (HTTP ${response.status}).`, response.status < 500);
    return answer;
  }

  /** @param {unknown} data */
  read(data) {
    let message = data;
    if (typeof data === "string") {
      try {
        message = JSON.parse(data);
      } catch {
        // Handlers may send plain text.
      }
    }
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
    if (message === null || typeof message !== "object") return;
    const { type, message: text, data: value } = /** @type {Record<string, unknown>} */ (message);
    if (type === "error" || type === "warning") {
      this.dispatchEvent(new CustomEvent("problem", { detail: String(text) }));
    } else if (type === "end_stream") {
      this.end(typeof value === "string" && value ? value : "The server ended the call.");
    }
  }

  /** @param {CallState} state */
  become(state) {
    if (this.state === state || this.closed) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }

  /** @param {string} reason */
  end(reason) {
    if (this.closed) return;
    clearTimeout(this.patience);
    removeEventListener("online", this.onNetworkChange);
    networkInformation()?.removeEventListener("change", this.onNetworkChange);
    for (const track of this.microphone?.getTracks() ?? []) track.stop();
    this.channel?.close();
    this.pc?.close();
    this.reason = reason;
    this.become("closed");
  }
}

/** Measures how loud a stream is, for meters. */
export class Meter {
  /** @param {MediaStream} stream @param {AudioContext} context */
  constructor(stream, context) {
    this.analyser = new AnalyserNode(context, { fftSize: 1024 });
    this.samples = new Float32Array(1024);
    this.source = context.createMediaStreamSource(stream);
    this.source.connect(this.analyser);
  }

  /** 0 for silence (-60 dBFS) to 1 for as loud as can be. */
  level() {
    this.analyser.getFloatTimeDomainData(this.samples);
    const power = this.samples.reduce((sum, sample) => sum + sample * sample, 0) / this.samples.length;
    return Math.min(1, Math.max(0, 1 + (10 * Math.log10(power + 1e-9)) / 60));
  }

  close() {
    this.source.disconnect();
  }
}

/**
 * Asks for stereo in an offer's opus line: without it browsers play one channel.
 * @param {string} sdp
 */
export function withStereo(sdp) {
  const payload = /a=rtpmap:(\d+) opus\/48000/i.exec(sdp)?.[1];
  if (!payload || new RegExp(`a=fmtp:${payload} .*stereo=1`).test(sdp)) return sdp;
  return sdp.replace(new RegExp(`(a=fmtp:${payload} [^\\r\\n]*)`), "$1;stereo=1;sprop-stereo=1");
}

/** @param {MediaTrackConstraints} audio */
async function openMicrophone(audio) {
  if (!navigator.mediaDevices) {
    throw new CallError("This page may not use the microphone: open it over https, or on localhost.", true);
  }
  return navigator.mediaDevices.getUserMedia({ audio });
}

/** @param {Record<string, unknown>} meta */
function refusal(meta) {
  switch (meta.error) {
    case "concurrency_limit_reached":
      return new CallError(`All places are taken (${meta.limit}). Try again later.`, true);
    case "connection_already_exists":
      return new CallError("This call already exists elsewhere.", true);
    case "unknown_connection":
    case "connection_closed":
      return new CallError("The server has ended this call.", true);
    default:
      return new CallError(`The server refused the call: ${meta.reason ?? meta.error}.`, true);
  }
}

/** @param {unknown} error */
function inWords(error) {
  if (error instanceof CallError) return error.message;
  if (error instanceof TypeError) return "The server does not answer. Is it running?";
  if (error instanceof DOMException) {
    if (error.name === "NotAllowedError") return "The microphone is blocked. Allow it beside the address bar and try again.";
    if (error.name === "NotFoundError") return "No microphone was found. Plug one in and try again.";
    if (error.name === "NotReadableError") return "The microphone is in use by another program.";
  }
  return `Something went wrong: ${error instanceof Error ? error.message : error}.`;
}

/** Chromium tells pages when the network changes. @returns {EventTarget | undefined} */
function networkInformation() {
  return /** @type {{ connection?: EventTarget }} */ (/** @type {unknown} */ (navigator)).connection;
}

function unguessable() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
