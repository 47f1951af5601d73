// @ts-check
/** The page's one AudioContext, and how loud a stream is. Plays nothing. */

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

/** Listens to the sound of a stream, whichever track that is now; silent outside of a call. */
export class Meter {
  /** @param {MediaStream} stream */
  constructor(stream) {
    this.stream = stream;
    this.samples = new Float32Array(1024);
    /** @type {{ track: MediaStreamTrack, source: AudioNode, analyser: AnalyserNode } | null} */
    this.tap = null;
    this.closed = false;
  }

  /** For drawing waves; null while there is no sound. */
  get analyser() {
    const [track] = this.closed ? [] : this.stream.getAudioTracks();
    if (this.tap?.track !== track) {
      this.tap?.source.disconnect();
      this.tap = track && context ? listenTo(track, context) : null;
    }
    return this.tap?.analyser ?? null;
  }

  /** 0 for silence (-60 dBFS) to 1 for as loud as can be. */
  level() {
    const { analyser, samples } = this;
    if (!analyser) return 0;
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    return Math.min(1, Math.max(0, 1 + (10 * Math.log10(power + 1e-9)) / 60));
  }

  close() {
    this.closed = true;
    this.tap?.source.disconnect();
    this.tap = null;
  }
}

/** @param {MediaStreamTrack} track @param {AudioContext} context */
function listenTo(track, context) {
  const analyser = new AnalyserNode(context, { fftSize: 1024, smoothingTimeConstant: 0.6 });
  const source = context.createMediaStreamSource(new MediaStream([track]));
  source.connect(analyser);
  return { track, source, analyser };
}
