// @ts-check
/**
 * What runs in the audio thread for the WebSocket link: the microphone as 16-bit frames, and frames
 * as sound. Neither knows of sockets; `socket.js` talks to them through their ports.
 */

/** A base class and a function that TypeScript's DOM library lacks.
 * @type {{ AudioWorkletProcessor: new () => { port: MessagePort }, registerProcessor: Function, sampleRate: number }} */
const thread = /** @type {any} */ (globalThis);
const FRAME_S = 0.02;
/** Sound begins when so much is there, which the server sends ahead, or its first piece has waited so
 * long: nothing conceals what is late. */
const CUSHION_S = 0.1;
/** What is late by more than this is dropped, or a stall would delay the rest of the call. */
const LONGEST_S = 3;

/** Posts an Int16Array each 20 ms. */
class Capture extends thread.AudioWorkletProcessor {
  constructor() {
    super();
    this.frame = new Int16Array(Math.round(thread.sampleRate * FRAME_S));
    this.filled = 0;
  }

  /** @param {Float32Array[][]} inputs */
  process([channels]) {
    const [first, second] = channels ?? [];
    for (let at = 0; at < (first?.length ?? 0); at++) {
      const sample = second ? (first[at] + second[at]) / 2 : first[at];
      this.frame[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
      if (this.filled < this.frame.length) continue;
      this.port.postMessage(this.frame, [this.frame.buffer]);
      this.frame = new Int16Array(Math.round(thread.sampleRate * FRAME_S));
      this.filled = 0;
    }
    return true;
  }
}

/**
 * Plays Int16Arrays in their order. A `{mark}` comes back once all before it was played or dropped,
 * `{clear: true}` drops what is queued, `{count: true}` is answered with what `socket.js` counts.
 */
class Playback extends thread.AudioWorkletProcessor {
  constructor() {
    super();
    /** @type {(Int16Array | { mark: string })[]} */
    this.queue = [];
    this.position = 0;
    this.queued = 0;
    this.waited = 0;
    this.playing = false;
    this.bufferedS = 0;
    this.bufferedCount = 0;
    this.port.onmessage = ({ data }) => this.take(data);
  }

  /** @param {Int16Array | { mark?: string, clear?: boolean, count?: boolean }} message */
  take(message) {
    if (message instanceof Int16Array) {
      this.bufferedS += (this.queued / thread.sampleRate) * message.length;
      this.bufferedCount += message.length;
      this.queue.push(message);
      this.queued += message.length;
      while (this.queued > LONGEST_S * thread.sampleRate) this.drop();
    } else if (message.mark !== undefined) {
      this.queue.push({ mark: message.mark });
      this.passMarks();
    } else if (message.clear) {
      while (this.queue.length) this.drop();
    } else if (message.count) {
      this.port.postMessage({ counts: { bufferedS: this.bufferedS, bufferedCount: this.bufferedCount } });
    }
  }

  drop() {
    const dropped = this.queue.shift();
    if (dropped instanceof Int16Array) {
      this.queued -= dropped.length - this.position;
      this.position = 0;
    } else if (dropped) {
      this.port.postMessage({ played: dropped.mark });
    }
  }

  passMarks() {
    while (this.queue.length && !(this.queue[0] instanceof Int16Array)) this.drop();
  }

  /** @param {unknown} inputs @param {Float32Array[][]} outputs */
  process(inputs, [[output]]) {
    if (!this.playing) {
      this.waited = this.queued ? this.waited + output.length : 0;
      if (Math.max(this.queued, this.waited) < CUSHION_S * thread.sampleRate) return true;
      this.playing = true;
      this.waited = 0;
    }
    for (let at = 0; at < output.length; at++) {
      const samples = this.queue[0];
      if (!(samples instanceof Int16Array)) {
        this.playing = false; // Nothing is left: the rest of this output stays silent.
        break;
      }
      output[at] = samples[this.position++] / 32768;
      this.queued -= 1;
      if (this.position < samples.length) continue;
      this.queue.shift();
      this.position = 0;
      this.passMarks();
    }
    return true;
  }
}

thread.registerProcessor("fastrtc-capture", Capture);
thread.registerProcessor("fastrtc-playback", Playback);
