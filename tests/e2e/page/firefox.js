// @ts-check
/**
 * What the Firefox tests do in the page: one call, by hand, with candidates as Firefox writes them.
 * It needs nothing that only Chromium has. Everything Python calls is on `window.call`.
 */

/** @type {RTCPeerConnection} */
let pc;
/** @type {RTCDataChannel} */
let channel;
/** @type {MediaStream} */
let mic;
/** @type {MediaStream} */
let heard;
const id = crypto.randomUUID();
/** @type {string[]} */
const messages = [];
/** What was trickled, and what the server said to it. @type {{candidate: string, status: string}[]} */
const trickled = [];

/** @param {object} body */
async function post(body) {
  const response = await fetch("/webrtc/offer", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, webrtc_id: id }),
  });
  return response.json();
}

/** @param {RTCIceCandidate} candidate */
async function trickle(candidate) {
  const { status } = await post({ type: "ice-candidate", candidate: candidate.toJSON() });
  trickled.push({ candidate: candidate.candidate, status });
}

const call = {
  /** Offers without any candidate, and trickles them all after the answer. */
  async connect() {
    pc = new RTCPeerConnection();
    channel = pc.createDataChannel("text");
    channel.onmessage = ({ data }) => messages.push(data);
    mic = await navigator.mediaDevices.getUserMedia({ audio: true });
    pc.addTrack(mic.getAudioTracks()[0], mic);
    pc.ontrack = ({ track }) => (heard = new MediaStream([track]));
    /** @type {(answered: unknown) => void} */
    let open = () => {};
    const answered = new Promise((resolve) => (open = resolve));
    pc.onicecandidate = async ({ candidate }) => {
      await answered;
      if (candidate) await trickle(candidate);
    };
    const offer = await pc.createOffer();
    await pc.setLocalDescription(offer);
    const answer = await post({ type: "offer", sdp: offer.sdp });
    await pc.setRemoteDescription(answer);
    open(null);
    return { id, answer };
  },
  /** The state of everything. */
  report: () => ({
    state: pc.connectionState,
    gathered: pc.iceGatheringState === "complete",
    channel: channel.readyState,
    trickled,
    messages,
  }),
  /**
   * Records one end of the call into a file, as base64. An AudioContext would need a sound card.
   * @param {"microphone" | "heard"} end @param {number} seconds
   */
  async record(end, seconds) {
    const recorder = new MediaRecorder(end === "heard" ? heard : mic, { audioBitsPerSecond: 128_000 });
    /** @type {Promise<Blob>} */
    const recorded = new Promise((resolve) => (recorder.ondataavailable = ({ data }) => resolve(data)));
    recorder.start();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    recorder.stop();
    const bytes = new Uint8Array(await (await recorded).arrayBuffer());
    return btoa(String.fromCharCode(...bytes));
  },
  /** @param {string} text */
  send: (text) => channel.send(text),
  close: () => pc.close(),
};

Object.assign(window, { call });
