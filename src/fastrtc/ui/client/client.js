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
import { connect } from "./connect.js";
import { ClientError, goodbye, inWords } from "./errors.js";
import { until } from "./link.js";
import { complete } from "./options.js";
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

/** @typedef {import("./options.js").ClientOptions} ClientOptions */

export class Client extends EventTarget {
  /** @param {ClientOptions} [options] */
  constructor(options = {}) {
    super();
    const { id, url, mode, kinds, capture } = complete(options);
    /** The client's name for the call: what the server calls `webrtc_id`. */
    this.id = id;
    this.url = url;
    this.mode = mode;
    this.kinds = kinds;
    this.options = options;
    /** @type {ClientState} */
    this.state = "idle";
    /** Why the call is over; null while it is not, and after `close()`. @type {ClientError | null} */
    this.error = null;
    /** Milliseconds from the first offer to the connection. @type {number | null} */
    this.connectMs = null;
    this.capture = new Capture(capture, {
      changed: (track) => this.sendTrack(track),
      lost: (error) => this.end(error),
    });
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
    this.meters = { sent: new Meter(this.local), heard: new Meter(this.remote) };
    this.hasSound = false;
    /** @type {import("./counts.js").Counts | null} */
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
   * @throws {ClientError} in words for the person; the client is closed then. After `close()`, at
   *   once, with the code "ended"
   */
  async connect() {
    if (this.state !== "idle") {
      throw new ClientError("misuse", `This call is ${this.state}; start a new one.`);
    }
    takeSound();
    this.hasSound = true;
    if (this.mode !== "send") this.player.begin();
    addEventListener("pagehide", this.onPageHide);
    try {
      await until(this.over.signal, this.begin());
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
    yield* this.signalling.allEvents(url, this.over.signal);
  }

  // What is sent.

  /** @param {string} [id] of `listDevices()`; the default otherwise. The call goes on. */
  async setMicrophone(id) {
    await until(this.over.signal, this.capture.setMicrophone(id));
  }

  /** @param {string} [id] of `listDevices()`, or "user" and "environment" on a phone */
  async setCamera(id) {
    await until(this.over.signal, this.capture.setCamera(id));
  }

  /** Sends the screen instead of the camera, which comes back when the person ends the sharing. */
  async shareScreen() {
    await until(this.over.signal, this.capture.shareScreen());
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
    return { sent: this.meters.sent.level(), heard: this.meters.heard.level() };
  }

  /** For drawing waves. @param {"sent" | "heard"} side @returns {AnalyserNode | null} while there is sound */
  analyser(side) {
    return this.meters[side].analyser;
  }

  /**
   * How the connection does, since the last time this was called; call it about once a second.
   * @returns {Promise<import("./stats.js").Statistics>}
   */
  async stats() {
    const { compare } = await import("./stats.js");
    const before = this.counts;
    const now = await this.count();
    this.counts = now;
    return { transport: this.transport, turnLatencyMs: this.tracker.latencyMs, ...compare(now, before) };
  }

  // Inside.

  /** From the devices to flowing media. */
  async begin() {
    const asked = this.options.configuration ?? this.signalling.configuration();
    // Looked at below; a person takes longer to allow the microphone than a server to refuse.
    Promise.resolve(asked).catch(() => {});
    if (this.mode !== "receive") {
      this.become("asking");
      await this.capture.open();
      this.goOn();
    }
    this.become("connecting");
    const configuration = await asked;
    this.startedAt = performance.now();
    await connect(this, configuration, {
      events: this.linkEvents(),
      use: (link) => (this.link = link),
      goOn: () => this.goOn(),
    });
  }

  /** What the link has counted; nothing before there is one, and after the call. */
  async count() {
    const { nothingCounted } = await import("./counts.js");
    if (!this.link || this.closed) return nothingCounted();
    try {
      return await until(this.over.signal, this.link.count());
    } catch (error) {
      if (this.closed) return nothingCounted();
      throw error;
    }
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

  goOn() {
    this.over.signal.throwIfAborted();
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
    for (const meter of Object.values(this.meters)) meter.close();
    this.player.close();
    this.over.abort(error ?? new ClientError("ended", "The call was ended."));
    if (this.hasSound) releaseSound();
    if (error) this.tell("error", error);
  }
}
