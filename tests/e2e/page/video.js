// @ts-check
/**
 * A camera that writes a number into each picture, and an eye that reads it from what comes back.
 * Added to the page of harness.js; everything Python calls is on `window.watching`.
 *
 * The number stands in a strip of black and white blocks, most significant first, at the top of a
 * picture. Below it a pattern moves by two pixels from one picture to the next, so that an encoder
 * has work to do and each picture's content is known from its number.
 */

const BITS = 16;
const STRIP = 32;
const [BLACK, WHITE] = [16, 235];
/** Which rows of blocks are compared, to spare the machine. */
const EACH_BLOCK = 4;

/** The pattern's brightness at a place. @param {number} x @param {number} y */
const pattern = (x, y) => 126 + 50 * Math.sin(x / 19) * Math.cos(y / 23) + 20 * Math.sin((x + 2 * y) / 7);

/** A row of the pattern, longer than a picture is wide. @type {Map<number, Uint8Array>} */
const rows = new Map();
const LONGEST = 8192;
/** @param {number} y */
function row(y) {
  let found = rows.get(y);
  if (!found) rows.set(y, (found = Uint8Array.from({ length: LONGEST }, (_, x) => Math.round(pattern(x, y)))));
  return found;
}

/** Where a picture's pattern begins. @param {number} number @param {number} width */
const shift = (number, width) => (2 * number) % (LONGEST - width);

class Camera {
  /** @param {{ width: number, height: number, fps: number }} options */
  constructor({ width, height, fps }) {
    Object.assign(this, { width, height, fps });
    this.width = width;
    this.height = height;
    // @ts-expect-error Chromium offers this on the main thread too.
    this.track = new MediaStreamTrackGenerator({ kind: "video" });
    this.writer = this.track.writable.getWriter();
    /** When each picture was made. @type {number[]} */
    this.madeAt = [];
    /** Keeps an object for each picture that goes out. */
    this.timer = setInterval(() => this.next(), 1000 / fps);
  }

  next() {
    const { width, height } = this;
    const number = this.madeAt.length;
    const data = new Uint8Array((width * height * 3) / 2).fill(128, width * height);
    const from = shift(number, width);
    for (let y = STRIP; y < height; y++) data.set(row(y).subarray(from, from + width), y * width);
    const block = width / BITS;
    for (let bit = 0; bit < BITS; bit++) {
      const level = (number >> (BITS - 1 - bit)) & 1 ? WHITE : BLACK;
      data.fill(level, bit * block, (bit + 1) * block);
    }
    for (let y = 1; y < STRIP; y++) data.copyWithin(y * width, 0, width);
    const now = performance.now();
    this.madeAt.push(now);
    const init = { format: /** @type {const} */ ("I420"), codedWidth: width, codedHeight: height, timestamp: now * 1000 };
    this.writer.write(new VideoFrame(data, init));
  }

  stop() {
    clearInterval(this.timer);
    this.track.stop();
  }
}

/**
 * How much of the brightness of a picture is left, below the strip: PSNR in dB, and the mean SSIM of
 * blocks of 8 by 8 (Wang and others, 2004, without the Gaussian window).
 *
 * @param {(x: number, y: number) => number} seen
 * @param {number} number
 * @param {number} width
 * @param {number} height
 */
function compare(seen, number, width, height) {
  const from = shift(number, width);
  const side = 8;
  const [c1, c2] = [(0.01 * 255) ** 2, (0.03 * 255) ** 2];
  let [error, ssim, blocks] = [0, 0, 0];
  for (let top = STRIP + side; top + side <= height; top += EACH_BLOCK * side) {
    for (let left = 0; left + side <= width; left += side) {
      let [a, b, aa, bb, ab] = [0, 0, 0, 0, 0];
      for (let y = top; y < top + side; y++) {
        const wanted = row(y);
        for (let x = left; x < left + side; x++) {
          const [p, q] = [seen(x, y), wanted[from + x]];
          a += p;
          b += q;
          aa += p * p;
          bb += q * q;
          ab += p * q;
        }
      }
      const n = side * side;
      const [meanA, meanB] = [a / n, b / n];
      const [varA, varB, cov] = [aa / n - meanA ** 2, bb / n - meanB ** 2, ab / n - meanA * meanB];
      ssim += ((2 * meanA * meanB + c1) * (2 * cov + c2)) / ((meanA ** 2 + meanB ** 2 + c1) * (varA + varB + c2));
      error += (aa - 2 * ab + bb) / n;
      blocks++;
    }
  }
  return { psnr: 10 * Math.log10(255 ** 2 / Math.max(error / blocks, 1e-3)), ssim: ssim / blocks };
}

class Eye {
  /** @param {MediaStreamTrack} track @param {Camera | null} camera @param {boolean} flipped */
  constructor(track, camera, flipped) {
    this.camera = camera;
    this.flipped = flipped;
    /** @type {{ number: number, at: number, age: number | null, psnr: number | null, ssim: number | null }[]} */
    this.seen = [];
    this.size = [0, 0];
    // @ts-expect-error Chromium offers this on the main thread too.
    this.reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    this.watch();
  }

  async watch() {
    for (;;) {
      const { value: frame, done } = await this.reader.read();
      if (done) return;
      const at = performance.now();
      const bytes = new Uint8Array(frame.allocationSize());
      const [luma] = await frame.copyTo(bytes);
      const { codedWidth, visibleRect, format } = frame;
      const [width, height] = (this.size = [visibleRect?.width ?? codedWidth, visibleRect?.height ?? 0]);
      frame.close();
      /** Brightness; a canvas' pictures are grey in RGB, and that brightness from 0 to 255.
       * @param {number} x @param {number} y */
      const at_ = (x, y) => {
        const from = luma.offset + (this.flipped ? height - 1 - y : y) * luma.stride;
        return format?.startsWith("I") || format === "NV12" ? bytes[from + x] : 16 + (bytes[from + 4 * x] * 219) / 255;
      };
      const scale = this.camera ? height / this.camera.height : 1;
      let number = 0;
      for (let bit = 0; bit < BITS; bit++) {
        const level = at_(Math.round(((bit + 0.5) * width) / BITS), Math.round((STRIP * scale) / 2));
        number = 2 * number + (level > (BLACK + WHITE) / 2 ? 1 : 0);
      }
      const madeAt = this.camera?.madeAt[number];
      const age = madeAt === undefined ? null : at - madeAt;
      const likeness = madeAt !== undefined && scale === 1 && number % 10 === 0 ? compare(at_, number, width, height) : { psnr: null, ssim: null };
      this.seen.push({ number, at, age, ...likeness });
    }
  }
}

/** Notes when a sound begins that was not there before. */
class Ear {
  /** @param {MediaStreamTrack} track */
  constructor(track) {
    /** @type {number[]} */
    this.onsets = [];
    this.samples = 0;
    // @ts-expect-error Chromium offers this on the main thread too.
    this.reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    this.listen();
  }

  async listen() {
    let quietSince = -Infinity;
    for (;;) {
      const { value: data, done } = await this.reader.read();
      if (done) return;
      const samples = new Float32Array(data.numberOfFrames);
      data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      const at = performance.now();
      const first = samples.findIndex((/** @type {number} */ sample) => Math.abs(sample) > 0.05);
      if (first >= 0) {
        const onset = at + (1000 * (first - samples.length)) / data.sampleRate;
        if (onset - quietSince > 200) this.onsets.push(onset);
        quietSince = at;
      }
      this.samples += samples.length;
      data.close();
    }
  }
}

/**
 * @typedef {object} VideoCallOptions
 * @property {RTCRtpTransceiverDirection} direction
 * @property {boolean} audio
 * @property {string | null} id
 * @property {{ width: number, height: number, fps: number }} camera
 * @property {string | null} codec the only one to offer, such as "VP8"
 * @property {boolean} flipped whether pictures come back upside down
 * @property {boolean} alone to another peer of the page instead of a server
 * @property {boolean} whep to watch as a player does, by WHEP
 */

class VideoCall {
  /** @param {VideoCallOptions} options */
  constructor(options) {
    this.options = options;
    this.id = options.id ?? crypto.randomUUID();
    this.pc = new RTCPeerConnection();
    this.channel = this.pc.createDataChannel("text");
    /** @type {string[]} */
    this.messages = [];
    this.channel.onmessage = ({ data }) => this.messages.push(data);
    this.camera = options.direction === "recvonly" ? null : new Camera(options.camera);
    this.stream = new MediaStream();
    this.element = document.createElement("video");
    this.element.muted = true;
    this.element.srcObject = this.stream;
    document.body.append(this.element);
    this.pc.ontrack = ({ track }) => {
      this.stream.addTrack(track);
      this.element.play().catch(() => {});
      if (track.kind === "video") this.eye = new Eye(track, this.camera, options.flipped);
      else this.ear = new Ear(track);
    };
  }

  /** Offers the codec that is wanted, or all. @param {RTCRtpTransceiver} video */
  prefer(video) {
    const { codec } = this.options;
    if (!codec) return;
    const all = RTCRtpReceiver.getCapabilities("video")?.codecs ?? [];
    const wanted = [`video/${codec}`, "video/rtx"]; // Without the second nothing lost is sent again.
    video.setCodecPreferences(all.filter(({ mimeType }) => wanted.includes(mimeType)));
  }

  /** Has the browser send fewer pictures rather than smaller ones. @param {RTCRtpTransceiver} video */
  async keepSize(video) {
    const parameters = video.sender.getParameters();
    parameters.degradationPreference = "maintain-resolution";
    await video.sender.setParameters(parameters);
  }

  async connect() {
    const { direction, audio } = this.options;
    const video = this.pc.addTransceiver(this.camera ? this.camera.track : "video", { direction, streams: [this.stream] });
    this.prefer(video);
    await this.keepSize(video);
    if (audio) {
      const mic = direction === "recvonly" ? null : await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
      this.pc.addTransceiver(mic ? mic.getAudioTracks()[0] : "audio", { direction, streams: [this.stream] });
    }
    await this.pc.setLocalDescription();
    while (this.pc.iceGatheringState !== "complete") await pause(10);
    const local = /** @type {RTCSessionDescription} */ (this.pc.localDescription);
    const answer = this.options.whep ? await this.watch(local.sdp) : await this.offer(local);
    if (answer.sdp) await this.pc.setRemoteDescription(answer);
    return { id: this.id, answer };
  }

  /** @param {RTCSessionDescription} local */
  async offer(local) {
    const response = await fetch("/webrtc/offer", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ type: local.type, sdp: local.sdp, webrtc_id: this.id }),
    });
    return response.json();
  }

  /** @param {string} sdp */
  async watch(sdp) {
    const response = await fetch("/whep", { method: "POST", headers: { "Content-Type": "application/sdp" }, body: sdp });
    this.session = new URL(response.headers.get("Location") ?? "", response.url).href;
    return { type: /** @type {const} */ ("answer"), sdp: await response.text() };
  }

  /** Another camera takes the place of the first, without a new offer. @param {VideoCallOptions["camera"]} options */
  async replace(options) {
    this.camera?.stop();
    this.camera = new Camera(options);
    const sender = this.pc.getSenders().find(({ track }) => track?.kind === "video");
    await sender?.replaceTrack(this.camera.track);
    if (this.eye) this.eye.camera = this.camera;
  }

  async report() {
    /** @type {Record<string, unknown>} */
    const found = {};
    (await this.pc.getStats()).forEach((entry) => {
      if (entry.type === "inbound-rtp") found[`${entry.kind}_in`] = entry;
      if (entry.type === "outbound-rtp") found[`${entry.kind}_out`] = entry;
      if (entry.type === "codec") found[entry.id] = entry.mimeType;
    });
    return {
      ...found,
      now: performance.now(),
      state: this.pc.connectionState,
      messages: this.messages,
      made: this.camera?.madeAt.length ?? 0,
      seen: this.eye?.seen ?? [],
      size: this.eye?.size ?? [0, 0],
      onsets: this.ear?.onsets ?? [],
      samples: this.ear?.samples ?? 0,
    };
  }

  async close() {
    if (this.session) await fetch(this.session, { method: "DELETE" });
    this.camera?.stop();
    this.pc.close();
    this.element.remove();
  }
}

/** From one peer of the page to another: what Chromium does when no server is between. */
class Alone extends VideoCall {
  async connect() {
    const other = (this.other = new RTCPeerConnection());
    this.pc.onicecandidate = ({ candidate }) => candidate && other.addIceCandidate(candidate);
    other.onicecandidate = ({ candidate }) => candidate && this.pc.addIceCandidate(candidate);
    other.ontrack = ({ track }) => {
      this.stream.addTrack(track);
      this.element.play().catch(() => {});
      this.eye = new Eye(track, this.camera, false);
    };
    const camera = /** @type {Camera} */ (this.camera);
    this.prefer(this.pc.addTransceiver(camera.track, { direction: "sendonly", streams: [this.stream] }));
    await this.pc.setLocalDescription();
    await other.setRemoteDescription(/** @type {RTCSessionDescription} */ (this.pc.localDescription));
    await other.setLocalDescription();
    const answer = /** @type {RTCSessionDescription} */ (other.localDescription);
    await this.pc.setRemoteDescription(answer);
    return { id: this.id, answer };
  }

  async close() {
    await super.close();
    this.other?.close();
  }
}

/** A call of the shipped client, made by harness.js, with the camera here in place of the browser's. */
class DialledVideo {
  /** @param {object} options the client's @param {VideoCallOptions} own */
  constructor(options, { camera, flipped }) {
    this.options = options;
    this.flipped = flipped;
    this.camera = new Camera(camera);
    const { mediaDevices } = navigator;
    const real = mediaDevices.getUserMedia.bind(mediaDevices);
    mediaDevices.getUserMedia = async (wanted) => {
      const microphone = wanted?.audio ? (await real({ audio: wanted.audio })).getTracks() : [];
      return new MediaStream([...microphone, this.camera.track]);
    };
  }

  async connect() {
    const { harness } = /** @type {any} */ (window);
    this.id = await harness.dial({ video: true, ...this.options });
    this.client = harness.client(this.id);
    this.eye = new Eye(this.client.remote.getVideoTracks()[0], this.camera, this.flipped);
    return { id: this.id, answer: {} };
  }

  async report() {
    return {
      state: this.client.state,
      transport: this.client.transport,
      statistics: await this.client.stats(),
      heard: this.client.levels().heard,
      made: this.camera.madeAt.length,
      seen: this.eye?.seen ?? [],
      size: this.eye?.size ?? [0, 0],
    };
  }

  /** @param {VideoCallOptions["camera"]} options */
  async replace(options) {
    this.camera.stop();
    this.camera = new Camera(options);
    await this.client.link.replaceTrack(this.camera.track);
    if (this.eye) this.eye.camera = this.camera;
  }

  close() {
    this.client.close();
    this.camera.stop();
  }
}

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @type {Map<string, VideoCall | DialledVideo>} */
const videoCalls = new Map();

const watching = {
  /** @param {VideoCallOptions} options */
  async connect(options) {
    const made = options.alone ? new Alone(options) : new VideoCall(options);
    videoCalls.set(made.id, made);
    return made.connect();
  },
  /** @param {object} options the client's @param {VideoCallOptions} own */
  async dial(options, own) {
    const made = new DialledVideo(options, own);
    const { id, answer } = await made.connect();
    videoCalls.set(id, made);
    return { id, answer };
  },
  /** @param {string} id */
  report: (id) => videoCalls.get(id)?.report(),
  /** @param {string} id @param {VideoCallOptions["camera"]} camera */
  replace: (id, camera) => videoCalls.get(id)?.replace(camera),
  /** @param {string} id */
  close: (id) => videoCalls.get(id)?.close(),
};

Object.assign(window, { watching });
