// @ts-check
/**
 * What the end-to-end tests do inside Chromium: connect calls, record what comes back, tell Python.
 * It speaks the wire format by hand, so that a fault in the shipped browser client shows only in the
 * tests of that client. Everything Python calls is on `window.harness`.
 */

const RATE_HZ = 48000;
/** The lowest level that counts as sound: 1/1000 of full scale. */
const AUDIBLE = 0.001;

/** Collects a track's samples exactly as the browser delivers them. */
class Recorder {
  /** @param {MediaStreamTrack} track */
  constructor(track) {
    /** @type {Float32Array[]} */
    this.chunks = [];
    this.channels = 1;
    this.rateHz = RATE_HZ;
    this.firstSoundAt = /** @type {number | null} */ (null);
    this.running = true;
    // @ts-expect-error Chromium offers this on the main thread too.
    this.reader = new MediaStreamTrackProcessor({ track, maxBuffer: 200 }).readable.getReader();
    this.done = this.pump();
  }

  async pump() {
    while (this.running) {
      const { value: data, done } = await this.reader.read();
      if (done) return;
      this.rateHz = data.sampleRate;
      const channels = (this.channels = data.numberOfChannels);
      const samples = new Float32Array(data.numberOfFrames * channels);
      const plane = new Float32Array(data.numberOfFrames);
      for (let channel = 0; channel < channels; channel++) {
        data.copyTo(plane, { planeIndex: channel, format: "f32-planar" });
        for (let at = 0; at < plane.length; at++) samples[at * channels + channel] = plane[at];
      }
      data.close();
      if (this.firstSoundAt === null && samples.some((sample) => Math.abs(sample) > AUDIBLE)) {
        this.firstSoundAt = performance.now();
      }
      this.chunks.push(samples);
    }
  }

  /** What was recorded since the last call, as base64 of interleaved int16. */
  take() {
    const chunks = this.chunks;
    this.chunks = [];
    return { channels: this.channels, rateHz: this.rateHz, pcm: encode(chunks) };
  }

  stop() {
    this.running = false;
    this.reader.cancel();
  }
}

/** @param {Float32Array[]} chunks */
function encode(chunks) {
  const total = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const samples = new Int16Array(total);
  let at = 0;
  for (const chunk of chunks) {
    for (const sample of chunk) samples[at++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
  }
  const bytes = new Uint8Array(samples.buffer);
  let text = "";
  for (let start = 0; start < bytes.length; start += 32768) {
    text += String.fromCharCode(...bytes.subarray(start, start + 32768));
  }
  return btoa(text);
}

/** The microphone as it is. */
const RAW = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** @param {number} channels */
function microphone(channels) {
  return navigator.mediaDevices.getUserMedia({ audio: { ...RAW, channelCount: channels } });
}

/** Asks for stereo in the opus line of a description. @param {string} sdp */
function withStereo(sdp) {
  return sdp.replace(/(a=fmtp:\d+ minptime=[^\r\n]*)/g, "$1;stereo=1;sprop-stereo=1");
}

/**
 * @typedef {object} CallOptions
 * @property {string} [path] where the stream is mounted
 * @property {string} [id]
 * @property {"sendrecv" | "sendonly" | "recvonly"} [direction]
 * @property {boolean} [audio] false for a data channel alone
 * @property {boolean} [stereo]
 * @property {boolean} [trickle] false to wait for all candidates before the offer
 * @property {RTCConfiguration} [configuration]
 */

class Call {
  /** @param {CallOptions} options */
  constructor(options) {
    /** @type {Required<Pick<CallOptions, "path" | "id" | "direction" | "audio" | "trickle">> & CallOptions} */
    this.options = { path: "", id: crypto.randomUUID(), direction: "sendrecv", audio: true, trickle: true, ...options };
    this.pc = new RTCPeerConnection(options.configuration);
    /** @type {string[]} */
    this.messages = [];
    /** @type {string[]} */
    this.states = [];
    /** @type {Recorder | null} */
    this.heard = null;
    /** @type {MediaStream | null} */
    this.mic = null;
    this.postedAt = 0;
    this.connectedAt = /** @type {number | null} */ (null);
    this.audio = new Audio();
    this.audio.muted = true;
    this.pc.onconnectionstatechange = () => {
      this.states.push(this.pc.connectionState);
      if (this.pc.connectionState === "connected") this.connectedAt ??= performance.now();
    };
    this.pc.ontrack = ({ track, streams }) => {
      this.audio.srcObject = streams[0] ?? new MediaStream([track]);
      this.audio.play();
      this.heard = new Recorder(track);
    };
    this.channel = this.pc.createDataChannel("text");
    this.channel.onmessage = ({ data }) => this.messages.push(data);
    /** @type {RTCIceCandidate[]} */
    this.early = [];
    this.answered = false;
    this.pc.onicecandidate = ({ candidate }) => {
      if (!candidate || !this.options.trickle) return;
      if (this.answered) this.post({ type: "ice-candidate", candidate: candidate.toJSON() });
      else this.early.push(candidate);
    };
  }

  async connect() {
    const { audio, direction, stereo } = this.options;
    if (audio) {
      if (direction === "recvonly") {
        this.pc.addTransceiver("audio", { direction });
      } else {
        this.mic = await microphone(stereo ? 2 : 1);
        this.pc.addTransceiver(this.mic.getAudioTracks()[0], { direction, streams: [this.mic] });
      }
    }
    return this.negotiate({});
  }

  /** @param {RTCOfferOptions} offerOptions */
  async negotiate(offerOptions) {
    const offer = await this.pc.createOffer(offerOptions);
    if (this.options.stereo) offer.sdp = withStereo(offer.sdp ?? "");
    await this.pc.setLocalDescription(offer);
    if (!this.options.trickle) {
      while (this.pc.iceGatheringState !== "complete") await sleep(10);
    }
    this.postedAt = performance.now();
    const local = /** @type {RTCSessionDescription} */ (this.pc.localDescription);
    const answer = await this.post({ type: local.type, sdp: local.sdp });
    if (!answer.sdp) return answer;
    await this.pc.setRemoteDescription(answer);
    this.answered = true;
    for (const candidate of this.early.splice(0)) {
      this.post({ type: "ice-candidate", candidate: candidate.toJSON() });
    }
    return answer;
  }

  /** @param {object} body */
  async post(body) {
    const response = await fetch(`${this.options.path}/webrtc/offer`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...body, webrtc_id: this.options.id }),
    });
    return { http_status: response.status, ...(await response.json()) };
  }

  async report() {
    const found = { inbound: {}, outbound: {}, pair: {}, local: {}, remote: {} };
    const stats = await this.pc.getStats();
    stats.forEach((entry) => {
      if (entry.type === "inbound-rtp") found.inbound = entry;
      if (entry.type === "outbound-rtp") found.outbound = entry;
      if (entry.type === "candidate-pair" && entry.nominated) {
        found.pair = entry;
        found.local = stats.get(entry.localCandidateId) ?? {};
        found.remote = stats.get(entry.remoteCandidateId) ?? {};
      }
    });
    return {
      ...found,
      state: this.pc.connectionState,
      states: this.states,
      channel: this.channel.readyState,
      connect_ms: this.connectedAt === null ? null : this.connectedAt - this.postedAt,
      first_sound_ms: this.heard?.firstSoundAt ? this.heard.firstSoundAt - this.postedAt : null,
    };
  }

  close() {
    this.heard?.stop();
    this.mic?.getTracks().forEach((track) => track.stop());
    this.pc.close();
  }
}

/** Both tracks on one clock, in the two channels of one recording. */
class Comparison {
  /** @param {MediaStreamTrack} sent @param {MediaStreamTrack} returned @param {number} seconds */
  static async record(sent, returned, seconds) {
    const context = new AudioContext({ sampleRate: RATE_HZ, latencyHint: 0 });
    const source = `registerProcessor("tap", class extends AudioWorkletProcessor {
      process([input]) { if (input.length === 2) this.port.postMessage(input); return true; }
    })`;
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    const merger = context.createChannelMerger(2);
    [sent, returned].forEach((track, channel) => {
      context.createMediaStreamSource(new MediaStream([track])).connect(merger, 0, channel);
    });
    const tap = new AudioWorkletNode(context, "tap", { channelCount: 2, channelCountMode: "explicit" });
    /** @type {Float32Array[]} */
    const chunks = [];
    tap.port.onmessage = ({ data: [left, right] }) => {
      const both = new Float32Array(left.length * 2);
      for (let at = 0; at < left.length; at++) {
        both[2 * at] = left[at];
        both[2 * at + 1] = right[at];
      }
      chunks.push(both);
    };
    merger.connect(tap).connect(context.destination);
    await sleep(seconds * 1000);
    await context.close();
    return { channels: 2, rateHz: RATE_HZ, pcm: encode(chunks) };
  }
}

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @type {Map<string, Call>} */
const calls = new Map();
/** @param {string} id */
const call = (id) => {
  const found = calls.get(id);
  if (!found) throw new Error(`no call ${id}`);
  return found;
};

/**
 * The shipped browser client's calls, by id.
 * @type {Map<string, import("../../../src/fastrtc/ui/client/fastrtc.js").Client>}
 */
const dialled = new Map();

/** Keeps this browser's addresses from the server, which then can only answer to where packets come from. */
function hideAddresses() {
  const real = window.fetch;
  window.fetch = async (input, init) => {
    if (!init?.body) return real(input, init);
    const body = JSON.parse(String(init.body));
    if (body.type === "ice-candidate") return new Response('{"status": "success"}');
    const shown = (body.sdp ?? "").replace(/a=candidate:[^\r\n]*\r\n/g, "");
    return real(input, { ...init, body: JSON.stringify({ ...body, sdp: shown }) });
  };
}

const harness = {
  hideAddresses,
  /** Calls with the shipped browser client. @param {object} options */
  async dial(options) {
    // @ts-expect-error The server under test has it there.
    const { Client } = await import("/client/fastrtc.js");
    const made = new Client({ audio: RAW, ...options });
    dialled.set(made.id, made);
    /** @type {string[]} */
    made.states = [];
    made.messages = [];
    made.volume = 0;
    made.addEventListener("state", () => made.states.push(made.state));
    made.addEventListener("message", (/** @type {CustomEvent} */ { detail }) => made.messages.push(detail));
    made.addEventListener("track", (/** @type {CustomEvent} */ { detail }) => {
      if (detail.kind === "audio") made.recorder = new Recorder(detail);
    });
    await made.connect();
    return made.id;
  },
  /** A dialled call itself, for tests that bring their own script. @param {string} id */
  client: (id) => /** @type {any} */ (dialled.get(id)),
  /** What is known of a dialled call. @param {string} id */
  dialled(id) {
    const { state, states, reason, messages, connectMs, transport } = /** @type {any} */ (dialled.get(id));
    return { state, states, reason, messages, connectMs, transport };
  },
  /** @param {string} id */
  dialledTake: (id) => /** @type {any} */ (dialled.get(id)).recorder.take(),
  /** @param {string} id @param {string | object} message */
  dialledSend: (id, message) => dialled.get(id)?.send(message),
  /** @param {string} id */
  hangUp: (id) => dialled.get(id)?.close(),
  /** @param {CallOptions} options */
  async connect(options) {
    const made = new Call(options);
    calls.set(made.options.id, made);
    return { id: made.options.id, answer: await made.connect() };
  },
  /** @param {string} id */
  take: (id) => call(id).heard?.take() ?? { channels: 1, rateHz: RATE_HZ, pcm: "" },
  /** @param {string} id */
  report: (id) => call(id).report(),
  /** @param {string} id */
  messages: (id) => call(id).messages.splice(0),
  /** @param {string} id @param {string} text */
  send: (id, text) => call(id).channel.send(text),
  /** @param {string} id */
  restart: (id) => call(id).negotiate({ iceRestart: true }),
  /** @param {string} id @param {object} body */
  post: (id, body) => call(id).post(body),
  /** @param {string} id @param {number} seconds */
  compare(id, seconds) {
    const { mic, pc } = call(id);
    if (!mic) throw new Error("only a call with a microphone has a round trip");
    return Comparison.record(mic.getAudioTracks()[0], pc.getReceivers()[0].track, seconds);
  },
  /** @param {string} id */
  close(id) {
    call(id).close();
    calls.delete(id);
  },
  /** Two peers of this page, one sending the microphone to the other: what no server can beat. @param {number} seconds */
  async loopback(seconds) {
    const [sender, receiver] = [new RTCPeerConnection(), new RTCPeerConnection()];
    sender.onicecandidate = ({ candidate }) => candidate && receiver.addIceCandidate(candidate);
    receiver.onicecandidate = ({ candidate }) => candidate && sender.addIceCandidate(candidate);
    const mic = await microphone(1);
    sender.addTrack(mic.getAudioTracks()[0], mic);
    const audio = new Audio();
    audio.muted = true;
    const returned = new Promise((resolve) => {
      receiver.ontrack = ({ track }) => {
        audio.srcObject = new MediaStream([track]);
        audio.play();
        resolve(track);
      };
    });
    await sender.setLocalDescription();
    await receiver.setRemoteDescription(/** @type {RTCSessionDescription} */ (sender.localDescription));
    await receiver.setLocalDescription();
    await sender.setRemoteDescription(/** @type {RTCSessionDescription} */ (receiver.localDescription));
    while (receiver.connectionState !== "connected") await sleep(10);
    const recording = await Comparison.record(mic.getAudioTracks()[0], await returned, seconds);
    mic.getTracks().forEach((track) => track.stop());
    sender.close();
    receiver.close();
    return recording;
  },
};

Object.assign(window, { harness });
