// @ts-check
/**
 * The WebSocket link, for networks that let no WebRTC through: binary 16-bit PCM and pictures as
 * files, both ways, with marks. The protocol is docs/websocket.md.
 */

import { ClientError, goodbye, refusal } from "./errors.js";
import { nothingCounted, nothingReceived, part } from "./link.js";
import { PictureCapture, PicturePlayback } from "./pictures.js";
import { releaseSound, takeSound } from "./sound.js";

/** How long the server may take to answer. */
const CONNECT_MS = 10000;
const PING_EVERY_MS = 2000;
/** More than this unsent, in bytes (five seconds), and what the microphone says is dropped. */
const UNSENT = 5 * 2 * 48000;
/** How many pictures may be on their way; more would only be older when they arrive. */
const AHEAD = 3;
/** What a message begins with where there is both sound and picture. */
const [SOUND, PICTURE] = [0, 1];

/**
 * @typedef {object} SocketOptions
 * @property {string} url of the WebSocket; https becomes wss
 * @property {string} id
 * @property {{ audio: boolean, video: boolean }} kinds what the stream carries
 * @property {MediaStream} local what to send
 * @property {boolean} receives whether what the server sends is played
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
    /** @type {PictureCapture | null} */
    this.camera = null;
    /** @type {PicturePlayback | null} */
    this.screen = null;
    /** What was drawn last is drawn when this resolves. */
    this.drawn = Promise.resolve();
    /** Of the pictures sent: how many, how many when the ping went that is not answered, how many arrived. */
    this.pictures = { sent: 0, asked: 0, arrived: 0 };
    this.closed = false;
    this.isUp = false;
    this.pinger = 0;
    /** @type {number | null} */
    this.pingedAt = null;
    /** @type {number | null} */
    this.roundTripMs = null;
    this.received = nothingReceived();
    this.bytes = { sent: 0, received: 0 };
    /** @type {(counts: { bufferedS: number, bufferedCount: number }) => void} */
    this.counted = () => {};
  }

  async open() {
    if (this.options.kinds.audio) await this.prepareSound();
    if (this.closed) throw new ClientError("ended", "The call was ended.");
    await this.connect();
    this.startPlayback();
    await this.startCapture();
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
    if (track.kind === "video") this.camera?.show(track);
    if (track.kind === "video" || !this.capture) return;
    this.source?.disconnect();
    this.source = this.context.createMediaStreamSource(new MediaStream([track]));
    this.source.connect(this.capture);
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.pinger);
    this.send('{"event": "stop"}');
    const { socket } = this;
    if (socket && socket.readyState !== WebSocket.CLOSED) {
      part(new Promise((resolve) => socket.addEventListener("close", resolve)));
      socket.close();
    }
    for (const node of [this.source, this.capture, this.playback]) node?.disconnect();
    this.camera?.close();
    this.screen?.close();
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
      ...(this.screen ? { video: { ...this.screen.counts } } : {}),
    };
  }

  // Inside.

  async prepareSound() {
    const { context } = this;
    if (!context.audioWorklet) {
      throw new ClientError("not-secure", "This page may not play sound from a WebSocket: open it over https, or on localhost.");
    }
    if (context.sampleRate > 48000 || context.sampleRate < 8000 || context.sampleRate % 50) {
      throw new ClientError("unknown", `Sound at ${context.sampleRate} Hz cannot be sent. Choose another device.`);
    }
    await context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url).href);
  }

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
        const start = { event: "start", websocket_id: this.options.id, marks: true };
        const sound = { format: "pcm16", sample_rate: this.context.sampleRate };
        this.send(JSON.stringify({ ...start, ...(this.options.kinds.audio ? sound : {}) }));
        this.ping();
      };
      socket.onmessage = ({ data }) => {
        if (typeof data !== "string") return this.take(data);
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
        if (this.pingedAt !== null) this.roundTripMs = performance.now() - this.pingedAt;
        this.pingedAt = null;
        this.pictures.arrived = this.pictures.asked;
        if (this.pictures.sent > this.pictures.arrived) this.ping();
        break;
      case "clear":
        this.playback?.port.postMessage({ clear: true });
        break;
      case "mark":
        this.answer(message.mark.name);
        break;
      default:
        this.events.data(data);
    }
  }

  /** Marks come back when what came before them was heard, or seen. @param {string} name */
  answer(name) {
    const back = () => this.send(JSON.stringify({ event: "mark", mark: { name } }));
    if (name.startsWith("fastrtc-video-")) this.drawn.then(back);
    else if (this.playback) this.playback.port.postMessage({ mark: name });
    else back();
  }

  /** @param {ArrayBuffer} message */
  take(message) {
    const { audio, video } = this.options.kinds;
    this.bytes.received += message.byteLength;
    const isBoth = audio && video;
    const isPicture = isBoth ? new Uint8Array(message)[0] === PICTURE : video;
    const media = isBoth ? message.slice(1) : message;
    if (isPicture) {
      if (this.screen) this.drawn = this.screen.draw(media);
      return;
    }
    this.received.packets += 1;
    this.playback?.port.postMessage(new Int16Array(media), [media]);
  }

  /** @param {number} kind @param {Int16Array<ArrayBuffer> | Blob} media */
  give(kind, media) {
    const { audio, video } = this.options.kinds;
    const message = audio && video ? new Blob([Uint8Array.of(kind), media]) : media;
    this.bytes.sent += message instanceof Blob ? message.size : message.byteLength;
    this.socket?.send(message);
  }

  startPlayback() {
    const { receives, kinds } = this.options;
    if (!receives) return;
    if (kinds.video) {
      this.screen = new PicturePlayback();
      this.events.track(this.screen.track);
    }
    if (!kinds.audio) return;
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

  async startCapture() {
    const tracks = this.options.local.getTracks();
    if (tracks.some(({ kind }) => kind === "audio")) {
      const node = new AudioWorkletNode(this.context, "fastrtc-capture", { outputChannelCount: [1] });
      node.port.onmessage = ({ data }) => this.has(UNSENT) && this.give(SOUND, data);
      // It says nothing, but only what is connected runs.
      node.connect(this.context.destination);
      this.capture = node;
    }
    if (tracks.some(({ kind }) => kind === "video")) {
      const mayLeave = () => this.has(UNSENT) && this.pictures.sent - this.pictures.arrived < AHEAD;
      this.camera = new PictureCapture(mayLeave, (file) => this.sendPicture(file));
    }
    for (const track of tracks) await this.replaceTrack(track);
  }

  /** Whether there is room for more. @param {number} unsent bytes that may wait in the browser */
  has(unsent) {
    return this.socket?.readyState === WebSocket.OPEN && this.socket.bufferedAmount <= unsent;
  }

  /** The server answers a ping when it has read what came before. @param {Blob} file */
  sendPicture(file) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.give(PICTURE, file);
    this.pictures.sent += 1;
    this.ping();
  }

  /** One at a time: each answer tells which pictures arrived. */
  ping() {
    if (this.pingedAt !== null) return;
    this.pingedAt = performance.now();
    this.pictures.asked = this.pictures.sent;
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
