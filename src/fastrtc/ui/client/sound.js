// @ts-check
/** The page's one AudioContext, and how loud a track is. Plays nothing. */

/** @type {AudioContext | null} */
let context = null;
let users = 0;

/** The context, running; call it from a click. Pair with {@link releaseSound}. */
export function takeSound() {
  context ??= new AudioContext({ latencyHint: "interactive" });
  users += 1;
  // Settles only once there was a gesture; nobody has to wait for it.
  context.resume().catch(() => {});
  return context;
}

/** The context rests when nobody needs it. */
export function releaseSound() {
  users -= 1;
  if (users === 0) context?.suspend().catch(() => {});
}

/** Runs again after a gesture, where the browser had stopped it. */
export function resumeSound() {
  context?.resume().catch(() => {});
}

/** Listens to one track. */
export class Meter {
  /** @param {MediaStreamTrack} track @param {AudioContext} context */
  constructor(track, context) {
    this.track = track;
    this.analyser = new AnalyserNode(context, { fftSize: 1024, smoothingTimeConstant: 0.6 });
    this.samples = new Float32Array(1024);
    this.source = context.createMediaStreamSource(new MediaStream([track]));
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
