// @ts-check
/**
 * The WebSocket link, for networks that let no WebRTC through: binary 16-bit PCM and pictures as
 * files, both ways, with marks. The protocol is docs/websocket.md.
 */

import { nothingCounted, nothingReceived } from "./counts.js";
import { ClientError, goodbye, refusal } from "./errors.js";
import { part, sleep, until } from "./link.js";
import { PictureCapture, PicturePlayback } from "./pictures.js";
import { releaseSound, takeSound } from "./sound.js";
import { Uplink } from "./uplink.js";

/** How long the server may take to answer. */
const CONNECT_MS = 10000;
const PING_EVERY_MS = 2000;
/** How long the audio thread may take to say what it has counted; it rests where no sound is allowed. */
const COUNT_MS = 500;
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
    this.uplink = new Uplink(options.kinds.video);
    this.over = new AbortController();
    this.isUp = false;
    this.pinger = 0;
    this.received = nothingReceived();
    this.bytesReceived = 0;
    /** Who waits for what the audio thread has counted. @type {(() => void)[]} */
    this.counting = [];
  }

  get closed() {
    return this.over.signal.aborted;
  }

  async open() {
    const { signal } = this.over;
    if (this.options.kinds.audio) await until(signal, this.prepareSound());
    await until(signal, this.connect());
    this.startPlayback();
    await until(signal, this.startCapture());
    this.pinger = setInterval(() => this.ping(), PING_EVERY_MS);
    this.events.up();
  }

  /** @param {string} text */
  send(text) {
    if (!this.isOpen) return false;
    this.socket?.send(text);
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
    this.over.abort(new ClientError("ended", "The call was ended."));
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
      this.playback.port.postMessage({ count: true });
      await Promise.race([new Promise((resolve) => this.counting.push(() => resolve(undefined))), sleep(COUNT_MS)]);
    }
    return {
      ...nothingCounted(),
      bytesSent: this.uplink.sent.bytes,
      bytesReceived: this.bytesReceived,
      roundTripMs: this.uplink.roundTripMs,
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
        this.uplink.answered(performance.now());
        if (this.uplink.wantsPing) this.ping();
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
    this.bytesReceived += message.byteLength;
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
    this.socket?.send(message);
    this.uplink.send(message instanceof Blob ? message.size : message.byteLength, kind === PICTURE);
    if (this.uplink.wantsPing) this.ping();
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
      if (data.counts) {
        Object.assign(this.received, data.counts);
        for (const told of this.counting.splice(0)) told();
      } else this.send(JSON.stringify({ event: "mark", mark: { name: data.played } }));
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
      node.port.onmessage = ({ data }) => this.isOpen && this.uplink.takesSound && this.give(SOUND, data);
      // It says nothing, but only what is connected runs.
      node.connect(this.context.destination);
      this.capture = node;
    }
    if (tracks.some(({ kind }) => kind === "video")) {
      const mayLeave = () => this.isOpen && this.uplink.takesPicture;
      this.camera = new PictureCapture(mayLeave, (file) => this.isOpen && this.give(PICTURE, file));
    }
    for (const track of tracks) await this.replaceTrack(track);
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** One at a time. */
  ping() {
    if (this.uplink.ping(performance.now())) this.send('{"event": "ping"}');
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
/** @typedef {import("./counts.js").Counts} Counts */
