// @ts-check
/** Lets the person hear and see what comes: one element, the page's or our own. */

import { ClientError, deviceError } from "./errors.js";

export class Player {
  /** @param {() => void} blocked the browser plays nothing before a gesture; then call `resume` */
  constructor(blocked) {
    this.blocked = blocked;
    /** Tracks come and go, it stays. */
    this.stream = new MediaStream();
    /** @type {HTMLMediaElement} */
    this.element = new Audio();
    this.volume = 1;
    this.speaker = "";
  }

  /** Called within the click, so that Safari lets the element play later on. */
  begin() {
    this.show(this.element);
  }

  /** @param {MediaStreamTrack} track */
  add(track) {
    for (const old of this.stream.getTracks()) if (old.kind === track.kind) this.stream.removeTrack(old);
    this.stream.addTrack(track);
    this.resume();
  }

  /** @param {HTMLMediaElement} element takes over from the one before */
  show(element) {
    if (element !== this.element) this.element.srcObject = null;
    this.element = element;
    element.autoplay = true;
    element.setAttribute("playsinline", "");
    element.srcObject = this.stream;
    this.setVolume(this.volume);
    this.setSpeaker(this.speaker).catch(() => {}); // The person heard of it when they chose it.
    this.resume();
  }

  resume() {
    if (!this.stream.getTracks().length && !this.element.paused) return;
    this.element.play().catch((error) => {
      // An element that gets its next stream meanwhile says AbortError and plays that one.
      if (error.name === "NotAllowedError") this.blocked();
    });
  }

  /** @param {number} volume 0 to 1; iPhones have buttons for it and take only 0 and 1 */
  setVolume(volume) {
    this.volume = Math.min(1, Math.max(0, volume));
    this.element.volume = this.volume;
    this.element.muted = this.volume === 0;
  }

  /** @param {string} id "" for the default */
  async setSpeaker(id) {
    if (id && !this.element.setSinkId) {
      throw new ClientError("misuse", "This browser does not let pages choose the speaker.", false);
    }
    try {
      if (id || this.element.sinkId) await this.element.setSinkId(id);
    } catch (error) {
      throw deviceError(error, "speaker");
    }
    this.speaker = id; // Elements that take over play there, and not where it could not be.
  }

  close() {
    this.element.srcObject = null;
    for (const track of this.stream.getTracks()) this.stream.removeTrack(track);
  }
}
