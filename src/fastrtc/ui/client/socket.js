// @ts-check
/**
 * The WebSocket link, for networks that let no WebRTC through: binary 16-bit PCM both ways, sound
 * only, with marks. The protocol is docs/websocket.md.
 */

import { ClientError, goodbye, refusal } from "./errors.js";
import { nothingCounted, nothingReceived } from "./link.js";
import { releaseSound, takeSound } from "./sound.js";

/** How long the server may take to answer. */
const CONNECT_MS = 10000;
const PING_EVERY_MS = 2000;
/** More than this unsent, in bytes (five seconds), and what the microphone says is dropped. */
const UNSENT = 5 * 2 * 48000;

/**
 * @typedef {object} SocketOptions
 * @property {string} url of the WebSocket; https becomes wss
 * @property {string} id
 * @property {MediaStreamTrack | null} microphone null to listen only
 * @property {boolean} hears whether the server's sound is played
 */

/** @implements {Link} */
export class SocketLink {
  name = /** @type {const} */ ("websocket");

  /** @param {SocketOptions} options @param {LinkEvents} events */
  constructor(options, events) {
    this.options = options;
    this.events = events;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.context = takeSound();
    /** @type {AudioNode | null} */
    this.source = null;
    /** @type {AudioWorkletNode | null} */
    this.capture = null;
    /** @type {AudioWorkletNode | null} */
    this.playback = null;
    this.closed = false;
    this.isUp = false;
    this.pinger = 0;
    this.pingedAt = 0;
    /** @type {number | null} */
    this.roundTripMs = null;
    this.received = nothingReceived();
    this.bytes = { sent: 0, received: 0 };
    /** @type {(counts: { bufferedS: number, bufferedCount: number }) => void} */
    this.counted = () => {};
  }

  async open() {
    const { context } = this;
    if (!context.audioWorklet) {
      throw new ClientError("not-secure", "This page may not play sound from a WebSocket: open it over https, or on localhost.");
    }
    if (context.sampleRate > 48000 || context.sampleRate < 8000 || context.sampleRate % 50) {
      throw new ClientError("unknown", `Sound at ${context.sampleRate} Hz cannot be sent. Choose another device.`);
    }
    await context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url).href);
    await this.connect();
    this.startPlayback();
    this.startCapture();
    this.pinger = setInterval(() => this.ping(), PING_EVERY_MS);
    this.events.up();
  }

  /** @param {string} text */
  send(text) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(text);
    return true;
  }

  /** @param {MediaStreamTrack} track */
  async replaceTrack(track) {
    if (track.kind !== "audio" || !this.capture) return;
    this.source?.disconnect();
    this.source = this.context.createMediaStreamSource(new MediaStream([track]));
    this.source.connect(this.capture);
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.pinger);
    this.send('{"event": "stop"}');
    this.socket?.close();
    for (const node of [this.source, this.capture, this.playback]) node?.disconnect();
    releaseSound();
  }

  /** @returns {Promise<Counts>} */
  async count() {
    if (this.playback) {
      const { playback } = this;
      /** @type {{ bufferedS: number, bufferedCount: number }} */
      const buffered = await new Promise((resolve) => {
        this.counted = resolve;
        playback.port.postMessage({ count: true });
      });
      Object.assign(this.received, buffered);
    }
    return {
      ...nothingCounted(),
      bytesSent: this.bytes.sent,
      bytesReceived: this.bytes.received,
      roundTripMs: this.roundTripMs,
      audio: { ...this.received },
    };
  }

  // Inside.

  /** Resolves when the server has answered the first ping: a refusal would have come before it. */
  connect() {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(this.options.url);
      this.socket = socket;
      socket.binaryType = "arraybuffer";
      const late = () => reject(new ClientError("unreachable", "The server does not answer on its WebSocket.", false));
      const timer = setTimeout(late, CONNECT_MS);
      /** @param {ClientError} error */
      const fail = (error) => {
        clearTimeout(timer);
        if (this.isUp && !this.closed) this.events.end(error);
        reject(error);
      };
      socket.onopen = () => {
        const start = { event: "start", websocket_id: this.options.id, format: "pcm16", marks: true };
        this.send(JSON.stringify({ ...start, sample_rate: this.context.sampleRate }));
        this.ping();
      };
      socket.onmessage = ({ data }) => {
        if (typeof data !== "string") return this.hear(data);
        const message = asObject(data);
        if (message.status === "failed") return fail(refusal(message.meta ?? {}));
        if (message.event === "pong" && !this.isUp) {
          clearTimeout(timer);
          this.isUp = true;
          resolve(undefined);
        }
        this.read(message, data);
      };
      socket.onclose = ({ code, reason }) => {
        if (!this.isUp) return fail(new ClientError("unreachable", "The server takes no WebSocket.", false));
        const said = code === 1006 || !reason ? new ClientError("lost", "The connection was lost.") : goodbye(reason);
        return fail(said);
      };
    });
  }

  /** @param {any} message @param {string} data it, as it came */
  read(message, data) {
    switch (message.event) {
      case "ping":
        this.send('{"event": "pong"}');
        break;
      case "pong":
        this.roundTripMs = performance.now() - this.pingedAt;
        break;
      case "clear":
        this.playback?.port.postMessage({ clear: true });
        break;
      case "mark":
        if (this.playback) this.playback.port.postMessage({ mark: message.mark.name });
        else this.send(JSON.stringify({ event: "mark", mark: message.mark }));
        break;
      default:
        this.events.data(data);
    }
  }

  /** @param {ArrayBuffer} frame */
  hear(frame) {
    this.bytes.received += frame.byteLength;
    this.received.packets += 1;
    this.playback?.port.postMessage(new Int16Array(frame), [frame]);
  }

  startPlayback() {
    if (!this.options.hears) return;
    const node = new AudioWorkletNode(this.context, "fastrtc-playback", { numberOfInputs: 0, outputChannelCount: [1] });
    node.port.onmessage = ({ data }) => {
      if (data.counts) this.counted(data.counts);
      else this.send(JSON.stringify({ event: "mark", mark: { name: data.played } }));
    };
    const end = new MediaStreamAudioDestinationNode(this.context, { channelCount: 1 });
    node.connect(end);
    this.playback = node;
    this.events.track(end.stream.getAudioTracks()[0]);
  }

  startCapture() {
    const { microphone } = this.options;
    if (!microphone) return;
    const node = new AudioWorkletNode(this.context, "fastrtc-capture", { outputChannelCount: [1] });
    node.port.onmessage = ({ data }) => {
      const { socket } = this;
      if (socket?.readyState !== WebSocket.OPEN || socket.bufferedAmount > UNSENT) return;
      this.bytes.sent += data.byteLength;
      socket.send(data);
    };
    // It says nothing, but only what is connected runs.
    node.connect(this.context.destination);
    this.capture = node;
    this.replaceTrack(microphone);
  }

  ping() {
    this.pingedAt = performance.now();
    this.send('{"event": "ping"}');
  }
}

/** @param {string} text @returns {any} an empty object for what is none */
function asObject(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

/** @typedef {import("./link.js").Link} Link */
/** @typedef {import("./link.js").LinkEvents} LinkEvents */
/** @typedef {import("./link.js").Counts} Counts */
