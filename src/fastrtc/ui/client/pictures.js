// @ts-check
/**
 * Pictures of a WebSocket link: a camera's as JPEG files, and files as a track that plays. Neither
 * side keeps a queue: the newest picture wins. Knows no socket; `socket.js` carries the files.
 */

import { nothingReceived } from "./counts.js";

const QUALITY = 0.75;
/** Pictures a second of a track that does not say. */
const USUAL_FPS = 30;

/** Makes a file of each new picture, as long as the one before it is made and may leave. */
export class PictureCapture {
  /** @param {() => boolean} mayLeave whether the next one is wanted @param {(file: Blob) => void} made */
  constructor(mayLeave, made) {
    this.mayLeave = mayLeave;
    this.made = made;
    this.video = document.createElement("video");
    this.video.muted = true;
    this.video.setAttribute("playsinline", "");
    this.canvas = document.createElement("canvas");
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    this.making = false;
    this.closed = false;
    this.frame = 0;
    this.timer = 0;
    /** Nothing is drawn on a page that is hidden, and its timers go on. */
    this.onVisibility = () => this.wait();
    document.addEventListener("visibilitychange", this.onVisibility);
  }

  /** @param {MediaStreamTrack} track goes from now on */
  show(track) {
    this.everyMs = 1000 / (track.getSettings().frameRate ?? USUAL_FPS);
    this.video.srcObject = new MediaStream([track]);
    this.video.play().catch(() => {}); // A track that is replaced at once says AbortError.
    this.wait();
  }

  close() {
    this.closed = true;
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.cancel();
    this.video.srcObject = null;
  }

  // Inside.

  cancel() {
    clearTimeout(this.timer);
    this.video.cancelVideoFrameCallback?.(this.frame);
  }

  /** For the next picture. */
  wait() {
    this.cancel();
    if (this.closed) return;
    const seen = () => (this.take(), this.wait());
    if (this.video.requestVideoFrameCallback && !document.hidden) this.frame = this.video.requestVideoFrameCallback(seen);
    else this.timer = setTimeout(seen, this.everyMs);
  }

  take() {
    const { video, canvas } = this;
    if (this.making || !video.videoWidth || !this.mayLeave()) return;
    fit(canvas, video.videoWidth, video.videoHeight);
    this.pen?.drawImage(video, 0, 0);
    this.making = true;
    canvas.toBlob(
      (file) => {
        this.making = false;
        if (file && !this.closed) this.made(file);
      },
      "image/jpeg",
      QUALITY,
    );
  }
}

/** Draws files as they come; one that is read after a newer one is left out. */
export class PicturePlayback {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.pen = this.canvas.getContext("2d");
    this.track = this.canvas.captureStream().getVideoTracks()[0];
    this.came = 0;
    this.newest = 0;
    this.counts = { ...nothingReceived(), frames: 0, handlingS: 0, width: 0, height: 0 };
  }

  /** Resolves once it is shown, or left out. @param {BlobPart} file */
  async draw(file) {
    const cameAt = performance.now();
    const number = ++this.came;
    this.counts.packets += 1;
    /** @type {ImageBitmap} */
    let picture;
    try {
      picture = await createImageBitmap(new Blob([file]));
    } catch (error) {
      console.warn("fastrtc: a picture could not be read:", error);
      return;
    }
    if (number > this.newest) {
      this.newest = number;
      fit(this.canvas, picture.width, picture.height);
      this.pen?.drawImage(picture, 0, 0);
      this.counts.frames += 1;
      this.counts.handlingS += (performance.now() - cameAt) / 1000;
      Object.assign(this.counts, { width: picture.width, height: picture.height });
    }
    picture.close();
  }

  close() {
    this.track.stop();
  }
}

/** A canvas whose size is set is cleared, even if it had that size. @param {HTMLCanvasElement} canvas @param {number} width @param {number} height */
function fit(canvas, width, height) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}
