// @ts-check
/**
 * A browser's side of a call to a fastrtc stream. It draws nothing: pages listen to its events, and
 * hand it elements to play in if they like.
 *
 * Events, each a `CustomEvent`:
 * - `state`: read `client.state`; when it is "closed", `client.error` says why (null after `close()`)
 * - `turn`: read `client.turn`, whose turn it is in a conversation
 * - `message`: `detail` is what the server said on the data channel, parsed when it is JSON
 * - `error`: `detail` is a {@link ClientError} for the person at the screen; the call goes on unless
 *   `state` says otherwise
 * - `warning`: `detail` is the handler's warning, a text
 * - `track`: `detail` is a MediaStreamTrack that came; it is in `client.remote` by then
 * - `local`: `detail` is a MediaStreamTrack that is sent from now on; it is in `client.local`
 * - `blocked`: the browser plays nothing before a gesture; call `client.resume()` in one
 */

import { Capture } from "./capture.js";
import { ClientError, goodbye, inWords } from "./errors.js";
import { nothingCounted } from "./link.js";
import { PeerLink } from "./peer.js";
import { Player } from "./player.js";
import { Signalling, parsed } from "./signalling.js";
import { Meter, releaseSound, resumeSound, takeSound } from "./sound.js";
import { TurnTracker } from "./turn.js";

/**
 * `idle` before `connect`, `asking` for the devices, `connecting`, `live`, `reconnecting` after the
 * network went away, `closed`.
 * @typedef {"idle" | "asking" | "connecting" | "live" | "reconnecting" | "closed"} ClientState
 */

/**
 * All optional.
 * @typedef {object} ClientOptions
 * @property {string} [url] where the stream is mounted, as given to `stream.mount`: "", "/voice" or
 *   "https://host/voice"; otherwise the stream that serves this file
 * @property {string} [id] the client's name for the call; an unguessable one is made otherwise
 * @property {"send-receive" | "send" | "receive"} [mode] named from the client, as on the server
 * @property {boolean | MediaTrackConstraints} [audio] true by default; constraints for the microphone
 * @property {boolean | MediaTrackConstraints} [video] false by default; constraints for the camera
 * @property {"camera" | "screen"} [source] of the picture that is sent
 * @property {boolean} [stereo] send the microphone in stereo (what comes may always be stereo)
 * @property {boolean} [pushToTalk] the microphone is silent until `talk(true)`
 * @property {"auto" | "webrtc" | "websocket"} [transport] auto: WebRTC, and for sound a WebSocket if
 *   no path opens
 * @property {number} [fallbackAfterMs] how long WebRTC may take before the WebSocket is tried
 * @property {RTCConfiguration} [configuration] STUN and TURN servers; the server is asked otherwise
 * @property {Record<string, string>} [headers] sent with each request, to authorize it; a WebSocket
 *   cannot have any and needs cookies
 * @property {() => unknown} [inputs] answers the handler's `wait_for_args` (the message `send_input`):
 *   an object, or a promise of one, is posted to `inputUrl` with the `webrtc_id`; nothing is otherwise
 * @property {string} [inputUrl] `{url}/input_hook` otherwise
 * @property {Partial<RTCRtpSendParameters>} [rtpParams] for the picture that is sent
 * @property {(body: object) => Promise<any>} [signal] carries offers and candidates instead of HTTP
 */

/** How long the first connection may take when there is nothing to fall back to. */
const CONNECT_MS = 20000;
const FALLBACK_MS = 6000;
const MOUNTED_AT = new URL("..", import.meta.url).href.replace(/\/$/, "");

export class Client extends EventTarget {
  /** @param {ClientOptions} [options] */
  constructor(options = {}) {
    super();
    const { url = MOUNTED_AT, mode = "send-receive", audio = true, video = false } = options;
    /** The client's name for the call: what the server calls `webrtc_id`. */
    this.id = options.id ?? unguessable();
    this.url = url;
    this.mode = mode;
    this.kinds = { audio: audio !== false, video: video !== false };
    this.options = options;
    /** @type {ClientState} */
    this.state = "idle";
    /** Why the call is over; null while it is not, and after `close()`. @type {ClientError | null} */
    this.error = null;
    /** Milliseconds from the first offer to the connection. @type {number | null} */
    this.connectMs = null;
    this.capture = new Capture(
      {
        audio: mode === "receive" ? null : constraints(audio),
        video: mode === "receive" ? null : constraints(video),
        source: options.source ?? "camera",
        stereo: options.stereo ?? false,
        pushToTalk: options.pushToTalk ?? false,
      },
      {
        changed: (track) => this.sendTrack(track),
        lost: (error) => this.end(error),
      },
    );
    this.player = new Player(() => this.tell("blocked"));
    this.signalling = new Signalling({
      url,
      id: this.id,
      headers: options.headers ?? {},
      signal: options.signal,
    });
    this.tracker = new TurnTracker(
      () => this.levels(),
      () => this.tell("turn"),
    );
    /** @type {import("./link.js").Link | null} */
    this.link = null;
    /** @type {AudioContext | null} */
    this.sound = null;
    /** @type {{ sent: Meter | null, heard: Meter | null }} */
    this.meters = { sent: null, heard: null };
    /** @type {import("./link.js").Counts | null} */
    this.counts = null;
    this.over = new AbortController();
    this.startedAt = 0;
    /** Who leaves the page leaves the call. */
    this.onPageHide = () => this.close();
  }

  /** What is sent: microphone, and camera or screen. */
  get local() {
    return this.capture.stream;
  }

  /** What came. */
  get remote() {
    return this.player.stream;
  }

  /** Whose turn it is, as far as the server's turn taking tells. */
  get turn() {
    return this.tracker.turn;
  }

  /** Why the call is over in words, or "". */
  get reason() {
    return this.error?.message ?? "";
  }

  get closed() {
    return this.state === "closed";
  }

  /** What carries the media: null before it is decided. */
  get transport() {
    return this.link?.name ?? null;
  }

  /** For what is not covered here; null over a WebSocket. */
  get pc() {
    return this.link instanceof PeerLink ? this.link.pc : null;
  }

  // The call.

  /**
   * Asks for the devices and connects; resolves once media flows. Call it from a click: browsers
   * play sound only then. A client makes one call; make another one for the next.
   * @throws {ClientError} in words for the person; the client is closed then
   */
  async connect() {
    if (this.state !== "idle") {
      throw new ClientError("misuse", `This call is ${this.state}; start a new one.`);
    }
    this.sound = takeSound();
    if (this.mode !== "send") this.player.begin();
    addEventListener("pagehide", this.onPageHide);
    try {
      const asked = this.options.configuration ?? this.signalling.configuration();
      // Looked at below; a person takes longer to allow the microphone than a server to refuse.
      Promise.resolve(asked).catch(() => {});
      if (this.mode !== "receive") {
        this.become("asking");
        await this.capture.open();
        this.goOn();
      }
      this.become("connecting");
      await this.open(await asked);
    } catch (error) {
      const told = inWords(error);
      this.end(told);
      throw told;
    }
  }

  /** Hangs up and gives the devices back. */
  close() {
    this.end(null);
  }

  /**
   * Sends a message to the handler's `on_message`; objects go as JSON. False while there is no channel.
   * @param {string | object} message
   */
  send(message) {
    return this.link?.send(typeof message === "string" ? message : JSON.stringify(message)) ?? false;
  }

  /**
   * Posts the handler's inputs to the page's own route, which calls `stream.set_input`.
   * @param {object} values `webrtc_id` is added
   */
  async setInputs(values) {
    const url = this.options.inputUrl ?? `${this.url}/input_hook`;
    return this.signalling.post(url, { ...values, webrtc_id: this.id });
  }

  /**
   * What the handler gave as `AdditionalOutputs`, from the page's own route of server-sent events
   * that reads `stream.output_stream(webrtc_id)`; ends with the call.
   *
   * ```js
   * for await (const output of client.outputs()) console.log(output);
   * ```
   * @param {string} [url] `{url}/updates` otherwise
   * @returns {AsyncGenerator<any, void, void>} parsed when it is JSON
   */
  async *outputs(url = `${this.url}/updates`) {
    const { signal } = this.over;
    while (!signal.aborted) {
      try {
        yield* this.signalling.events(url, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ClientError && error.final) throw error;
      }
      await this.pause(); // The network went away, and the outputs with it.
    }
  }

  // What is sent.

  /** @param {string} [id] of `listDevices()`; the default otherwise. The call goes on. */
  async setMicrophone(id) {
    await this.capture.setMicrophone(id);
  }

  /** @param {string} [id] of `listDevices()`, or "user" and "environment" on a phone */
  async setCamera(id) {
    await this.capture.setCamera(id);
  }

  /** Sends the screen instead of the camera, which comes back when the person ends the sharing. */
  async shareScreen() {
    await this.capture.shareScreen();
  }

  /** @param {boolean} [muted] @param {"audio" | "video"} [kind] */
  mute(muted = true, kind = "audio") {
    this.capture.mute(muted, kind);
  }

  /** Whether the microphone is muted. */
  get muted() {
    return this.capture.muted.audio;
  }

  /** With `pushToTalk`: true while the button is held. @param {boolean} pressed */
  talk(pressed) {
    this.capture.talk(pressed);
  }

  // What is heard and seen.

  /**
   * Plays what comes in an element of the page: a `<video>`, or an `<audio>`. Without one the client
   * plays the sound by itself.
   * @param {HTMLMediaElement} element
   */
  play(element) {
    this.player.show(element);
  }

  /** Shows what is sent, silently. @param {HTMLVideoElement} element */
  preview(element) {
    element.muted = true;
    element.autoplay = true;
    element.setAttribute("playsinline", "");
    element.srcObject = this.local;
    element.play().catch(() => {}); // Muted video may play; an element that is removed again may not.
  }

  /** After the event `blocked`: plays, in a click. */
  resume() {
    resumeSound();
    this.player.resume();
  }

  /** How loud it is played, 0 to 1. */
  get volume() {
    return this.player.volume;
  }

  set volume(volume) {
    this.player.setVolume(volume);
  }

  /** @param {string} id of `listDevices()`; "" for the default. Safari has no choice of speakers. */
  async setSpeaker(id) {
    await this.player.setSpeaker(id);
  }

  // What it looks like.

  /** How loud both sides are now: 0 for silence (-60 dBFS) to 1. */
  levels() {
    return { sent: this.meter("sent")?.level() ?? 0, heard: this.meter("heard")?.level() ?? 0 };
  }

  /** For drawing waves. @param {"sent" | "heard"} side @returns {AnalyserNode | null} while there is sound */
  analyser(side) {
    return this.meter(side)?.analyser ?? null;
  }

  /**
   * How the connection does, since the last time this was called; call it about once a second.
   * @returns {Promise<import("./stats.js").Statistics>}
   */
  async stats() {
    const { compare } = await import("./stats.js");
    const before = this.counts;
    const now = this.link && !this.closed ? await this.link.count() : nothingCounted();
    this.counts = now;
    return { transport: this.transport, turnLatencyMs: this.tracker.latencyMs, ...compare(now, before) };
  }

  // Inside.

  /** @param {RTCConfiguration} configuration */
  async open(configuration) {
    const transport = this.options.transport ?? "auto";
    this.startedAt = performance.now();
    const canFallBack = transport === "auto" && this.kinds.audio && !this.kinds.video && !this.options.signal;
    if (transport === "websocket" && this.kinds.video) {
      throw new ClientError("misuse", "A WebSocket carries sound only; make the client without video.");
    }
    if (transport !== "websocket") {
      try {
        await this.openPeer(configuration, canFallBack ? (this.options.fallbackAfterMs ?? FALLBACK_MS) : CONNECT_MS);
        return;
      } catch (error) {
        this.goOn();
        if (!canFallBack || !(error instanceof ClientError && error.code === "no-path")) throw error;
      }
    }
    await this.openSocket();
  }

  /** @param {RTCConfiguration} configuration @param {number} connectMs */
  async openPeer(configuration, connectMs) {
    const { kinds, mode, local, options, signalling } = this;
    const { stereo = false, rtpParams = {} } = options;
    const link = new PeerLink(
      { signalling, configuration, mode, kinds, local, stereo, rtpParams, connectMs },
      this.linkEvents(),
    );
    this.link = link;
    try {
      await link.open();
    } catch (error) {
      link.close();
      await link.goodbye;
      throw error;
    }
  }

  async openSocket() {
    const { SocketLink } = await import("./socket.js");
    this.goOn();
    const url = new URL(`${this.url}/websocket/offer`, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    this.link = new SocketLink(
      {
        url: url.href,
        id: this.id,
        microphone: this.capture.track("audio"),
        hears: this.mode !== "send",
      },
      this.linkEvents(),
    );
    await this.link.open();
  }

  /** @returns {import("./link.js").LinkEvents} */
  linkEvents() {
    return {
      track: (track) => {
        this.player.add(track);
        this.tell("track", track);
      },
      data: (data) => this.read(data),
      up: () => {
        this.connectMs ??= performance.now() - this.startedAt;
        this.become("live");
      },
      down: () => this.become("reconnecting"),
      end: (error) => this.end(error),
    };
  }

  /** @param {unknown} data */
  read(data) {
    const message = parsed(data);
    this.tell("message", message);
    const { type, message: text, data: value } = Object(message);
    if (type === "error") this.tell("error", new ClientError("handler", String(text), false));
    else if (type === "warning") this.tell("warning", String(text));
    else if (type === "log") this.tracker.follow(value);
    else if (type === "send_input") this.answerInputs();
    else if (type === "end_stream") this.end(goodbye(value));
    else if (type === "update_connection" && value === "closed") this.end(goodbye(""));
  }

  async answerInputs() {
    try {
      const values = await this.options.inputs?.();
      if (values !== null && typeof values === "object") await this.setInputs(values);
    } catch (error) {
      this.tell("error", inWords(error));
    }
  }

  /** @param {MediaStreamTrack} track */
  sendTrack(track) {
    this.link?.replaceTrack(track).catch((error) => this.tell("error", inWords(error)));
    this.tell("local", track);
  }

  /** @param {"sent" | "heard"} side */
  meter(side) {
    const stream = side === "sent" ? this.local : this.remote;
    const [track] = stream.getAudioTracks();
    const meter = this.meters[side];
    if (meter?.track !== track) {
      meter?.close();
      this.meters[side] = track && this.sound ? new Meter(track, this.sound) : null;
    }
    return this.meters[side];
  }

  /** Waits a second, or until the call is over. */
  pause() {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, 1000);
      this.over.signal.addEventListener("abort", () => (clearTimeout(timer), resolve(undefined)), { once: true });
    });
  }

  goOn() {
    if (this.closed) throw this.error ?? new ClientError("ended", "The call was ended before it began.");
  }

  /** @param {string} name @param {unknown} [detail] */
  tell(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** @param {ClientState} state */
  become(state) {
    if (this.state === state || this.closed) return;
    this.state = state;
    this.tell("state", state);
  }

  /** @param {ClientError | null} error */
  end(error) {
    if (this.closed) return;
    this.error = error;
    this.become("closed");
    removeEventListener("pagehide", this.onPageHide);
    this.tracker.close();
    this.capture.close();
    this.link?.close();
    for (const meter of Object.values(this.meters)) meter?.close();
    this.meters = { sent: null, heard: null };
    this.player.close();
    this.over.abort();
    if (this.sound) releaseSound();
    this.sound = null;
    if (error) this.tell("error", error);
  }
}

/** @param {boolean | MediaTrackConstraints} wanted */
function constraints(wanted) {
  if (wanted === false) return null;
  return wanted === true ? {} : wanted;
}

function unguessable() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
