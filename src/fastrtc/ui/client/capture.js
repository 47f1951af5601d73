// @ts-check
/** What this browser sends: microphone, camera, screen; choosing, changing and silencing them. */

import { ClientError, deviceError } from "./errors.js";

/** @type {MediaTrackConstraints} */
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
/** @type {MediaTrackConstraints} */
const VIDEO = {
  width: { ideal: 1280 },
  height: { ideal: 720 },
  frameRate: { ideal: 30 },
  facingMode: { ideal: "user" },
};

/**
 * @typedef {object} CaptureOptions
 * @property {MediaTrackConstraints | null} audio added to the defaults; null for no microphone
 * @property {MediaTrackConstraints | null} video added to the defaults; null for no picture
 * @property {"camera" | "screen"} source of the picture
 * @property {boolean} stereo
 * @property {boolean} pushToTalk silent until `talk(true)`
 */

/**
 * @typedef {object} CaptureEvents
 * @property {(track: MediaStreamTrack) => void} changed another track is sent from now on
 * @property {(error: ClientError) => void} lost a device went away and there is no other
 */

export class Capture {
  /** @param {CaptureOptions} options @param {CaptureEvents} events */
  constructor(options, events) {
    this.options = options;
    this.events = events;
    /** What is sent; its tracks change, it stays. */
    this.stream = new MediaStream();
    this.muted = { audio: false, video: false };
    this.talking = !options.pushToTalk;
    this.closed = false;
  }

  /**
   * Opens everything; the person is asked once.
   * @throws {ClientError} why not, in words
   */
  async open() {
    const { audio, video, source } = this.options;
    if (!navigator.mediaDevices) {
      const device = audio ? "microphone" : source;
      throw new ClientError("not-secure", `This page may not use the ${device}: open it over https, or on localhost.`);
    }
    // The screen first: browsers ask for it only right after a click.
    if (video && source === "screen") this.put(await openScreen());
    if (this.closed) return; // Who hung up is not asked for the microphone.
    const camera = video && source === "camera";
    if (!audio && !camera) return;
    const tracks = await openDevices(audio && this.audioConstraints(), camera && { ...VIDEO, ...video });
    for (const track of tracks) this.put(track);
  }

  /** @param {"audio" | "video"} kind @returns {MediaStreamTrack | null} */
  track(kind) {
    return this.stream.getTracks().find((track) => track.kind === kind) ?? null;
  }

  /** @param {string} [id] the browser's default otherwise */
  async setMicrophone(id) {
    const constraints = { ...this.audioConstraints(), ...exactly(id) };
    if (this.isOpen("audio")) await this.exchange("audio", async () => (await openDevices(constraints, false))[0]);
    else this.options.audio = { ...this.options.audio, ...exactly(id) };
  }

  /** @param {string} [id] a device's, or "user" and "environment" for a phone's two sides */
  async setCamera(id) {
    const faces = id === "user" || id === "environment";
    const chosen = faces ? { facingMode: { ideal: id } } : exactly(id);
    const constraints = { ...VIDEO, ...this.options.video, ...chosen };
    if (this.isOpen("video")) await this.exchange("video", async () => (await openDevices(false, constraints))[0]);
    else this.options.video = { ...this.options.video, ...chosen };
  }

  async shareScreen() {
    if (this.isOpen("video")) await this.exchange("video", openScreen);
    else this.options.source = "screen";
  }

  /** @param {boolean} muted @param {"audio" | "video"} kind */
  mute(muted, kind) {
    this.muted[kind] = muted;
    this.apply();
  }

  /** @param {boolean} talking */
  talk(talking) {
    this.talking = talking;
    this.apply();
  }

  /** Gives all devices back. */
  close() {
    this.closed = true;
    for (const track of this.stream.getTracks()) track.stop();
  }

  // Inside.

  /** Whether there is something to change; before `open` a choice is only remembered.
   * @param {"audio" | "video"} kind */
  isOpen(kind) {
    if (!this.options[kind]) {
      const [what, option] = kind === "audio" ? ["sound", "audio"] : ["picture", "video"];
      throw new ClientError("misuse", `This call sends no ${what}: make the client with the option ${option}.`, false);
    }
    return this.track(kind) !== null;
  }

  audioConstraints() {
    return { ...AUDIO, ...(this.options.stereo ? { channelCount: 2 } : {}), ...this.options.audio };
  }

  /** Phones cannot open two devices of a kind, so the old one goes first and comes back on failure.
   * @param {"audio" | "video"} kind @param {() => Promise<MediaStreamTrack>} open */
  async exchange(kind, open) {
    const old = this.track(kind);
    const isScreen = open === openScreen;
    if (!isScreen) old?.stop();
    try {
      this.put(await open());
    } catch (error) {
      if (old?.readyState === "ended") await this.restore(old).catch(() => {}); // The first failure is told.
      throw error;
    }
    if (isScreen) old?.stop();
    const track = this.track(kind);
    if (track && !this.closed) this.events.changed(track);
  }

  /** @param {MediaStreamTrack} old */
  async restore(old) {
    const chosen = exactly(old.getSettings().deviceId);
    const [track] = await (old.kind === "audio"
      ? openDevices({ ...this.audioConstraints(), ...chosen }, false)
      : openDevices(false, { ...VIDEO, ...this.options.video, ...chosen }));
    this.put(track);
    if (!this.closed) this.events.changed(track);
  }

  /** @param {MediaStreamTrack} track */
  put(track) {
    const kind = /** @type {"audio" | "video"} */ (track.kind);
    const old = this.track(kind);
    if (old) this.stream.removeTrack(old);
    this.stream.addTrack(track);
    if (this.closed) track.stop();
    track.addEventListener("ended", () => this.replaceEnded(track, kind));
    this.apply();
  }

  /** A device was unplugged, or the person ended the sharing: the default device takes over.
   * @param {MediaStreamTrack} track @param {"audio" | "video"} kind */
  async replaceEnded(track, kind) {
    if (this.closed || this.track(kind) !== track) return;
    if (kind === "video" && this.options.source === "screen") {
      this.events.lost(new ClientError("ended", "The screen is no longer shared."));
      return;
    }
    try {
      await (kind === "audio" ? this.setMicrophone() : this.setCamera());
    } catch {
      const device = kind === "audio" ? "microphone" : "camera";
      this.events.lost(new ClientError("no-device", `The ${device} was unplugged or taken away.`));
    }
  }

  apply() {
    for (const track of this.stream.getTracks()) {
      track.enabled = track.kind === "audio" ? !this.muted.audio && this.talking : !this.muted.video;
    }
  }
}

/** @param {string} [id] @returns {MediaTrackConstraints} */
const exactly = (id) => (id ? { deviceId: { exact: id }, facingMode: undefined } : {});

/** @param {MediaTrackConstraints | null | false} audio @param {MediaTrackConstraints | null | false} video */
async function openDevices(audio, video) {
  const device = [audio && "microphone", video && "camera"].filter(Boolean).join(" or ");
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: audio || false, video: video || false });
    return stream.getTracks();
  } catch (error) {
    throw deviceError(error, device);
  }
}

async function openScreen() {
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: true });
    return stream.getVideoTracks()[0];
  } catch (error) {
    throw deviceError(error, "screen");
  }
}
