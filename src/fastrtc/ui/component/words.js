// @ts-check
/** What the component says, in one place. */

/** @typedef {import("../client/client.js").ClientState} ClientState */
/** @typedef {import("../client/turn.js").Turn} Turn */

/** @type {Record<ClientState, string>} */
export const STATES = {
  idle: "Not connected",
  asking: "Waiting for your permission …",
  connecting: "Connecting …",
  live: "Connected",
  reconnecting: "The network went away, reconnecting …",
  closed: "Not connected",
};

/** @type {Record<Turn, string>} */
export const TURNS = {
  listening: "Listening",
  hearing: "Hearing you",
  thinking: "Thinking",
  speaking: "Speaking",
};

export const BUTTONS = { start: "Start", stop: "Stop", waiting: "Cancel" };

/** What the buttons say that silence a kind of media, and then give it back. */
export const MUTES = { audio: ["Mute", "Unmute"], video: ["Camera off", "Camera on"] };

/**
 * The numbers of the details panel: the browser's (stats.js) and the server's (line.py), what they are
 * called, how they are written, and which way goes what they tell of.
 * @type {[string, string, (value: number) => string, "both" | "coming" | "going"][]}
 */
export const NUMBERS = [
  ["roundTripMs", "Round trip", milliseconds, "both"],
  ["turnLatencyMs", "Reply after you stop", milliseconds, "both"],
  ["loss", "Loss, coming", percent, "coming"],
  ["lossOfSent", "Loss, going", percent, "going"],
  ["receivedKbps", "Coming", kilobits, "coming"],
  ["sentKbps", "Going", kilobits, "going"],
  ["jitterBufferMs", "Sound waits here", milliseconds, "coming"],
  ["videoFps", "Shown", perSecond, "coming"],
  ["videoFrameAgeMs", "Age of picture", milliseconds, "coming"],
  ["video_age_ms", "Picture at the server", milliseconds, "going"],
  ["video_frames_dropped", "Pictures dropped there", String, "going"],
  ["frames_dropped", "Sound dropped there", String, "going"],
];

/** What is worth a look while pictures run, in one line. @param {Record<string, any>} statistics of both sides */
export function inOneLine({ videoFps, videoFrameAgeMs, video_age_ms, receivedKbps, sentKbps }) {
  const ageMs = videoFrameAgeMs ?? video_age_ms ?? null;
  const rate = receivedKbps || sentKbps || null;
  return [
    videoFps ? perSecond(videoFps) : "",
    ageMs === null ? "" : `${milliseconds(ageMs)} old`,
    rate === null ? "" : kilobits(rate),
  ]
    .filter(Boolean)
    .join(" · ");
}

/** @param {number} value */
function milliseconds(value) {
  return value < 1 ? "under 1 ms" : `${Math.round(value)} ms`;
}

/** @param {number} value */
function percent(value) {
  return `${(value * 100).toFixed(1)} %`;
}

/** @param {number} value */
function kilobits(value) {
  return `${Math.round(value)} kbit/s`;
}

/** @param {number} value */
function perSecond(value) {
  return `${Math.round(value)} pictures per second`;
}
