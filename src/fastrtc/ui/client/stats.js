// @ts-check
/** A link's counts as numbers that a person can read. Pure. */

/**
 * Of the time since the last look; null where nothing is known.
 * @typedef {object} Statistics
 * @property {"webrtc" | "websocket" | null} transport
 * @property {number | null} roundTripMs the network's
 * @property {number | null} turnLatencyMs from the end of the person's last words to the reply's sound
 * @property {number | null} loss share of the server's packets that did not come, 0 to 1
 * @property {number | null} lossOfSent share of ours that the server misses, 0 to 1
 * @property {number | null} sentKbps
 * @property {number | null} receivedKbps
 * @property {number | null} jitterMs of the sound
 * @property {number | null} jitterBufferMs how long sound waits before it is played
 * @property {number | null} videoFps frames shown
 * @property {number | null} videoFrameAgeMs estimated from half a round trip and the time in this browser
 * @property {number | null} videoWidth
 * @property {number | null} videoHeight
 */

/** @typedef {import("./counts.js").Counts} Counts */
/** @typedef {Omit<Statistics, "transport" | "turnLatencyMs">} LinkStatistics */

/**
 * @param {Counts} now
 * @param {Counts | null} before null for the whole call
 * @returns {LinkStatistics}
 */
export function compare(now, before) {
  const seconds = before ? (now.atMs - before.atMs) / 1000 : 0;
  /** @param {number} later @param {number | undefined} earlier */
  const rate = (later, earlier) => (before && seconds > 0 ? (later - (earlier ?? 0)) / seconds : null);
  const kbps = (/** @type {number | null} */ bytesPerS) => bytesPerS && (bytesPerS * 8) / 1000;
  const videoBufferMs = handling(now.video, before?.video) ?? waiting(now.video, before?.video);
  return {
    roundTripMs: now.roundTripMs,
    loss: loss(now, before),
    lossOfSent: now.lossOfSent,
    sentKbps: kbps(rate(now.bytesSent, before?.bytesSent)),
    receivedKbps: kbps(rate(now.bytesReceived, before?.bytesReceived)),
    jitterMs: now.audio.jitterMs,
    jitterBufferMs: waiting(now.audio, before?.audio),
    videoFps: now.video.frames === undefined ? null : rate(now.video.frames, before?.video.frames),
    videoFrameAgeMs: videoBufferMs === null ? null : videoBufferMs + (now.roundTripMs ?? 0) / 2,
    videoWidth: now.video.width ?? null,
    videoHeight: now.video.height ?? null,
  };
}

/** @param {Counts} now @param {Counts | null} before */
function loss(now, before) {
  const lost = now.audio.lost + now.video.lost - (before ? before.audio.lost + before.video.lost : 0);
  const came = now.audio.packets + now.video.packets - (before ? before.audio.packets + before.video.packets : 0);
  // A late packet can make the number of lost ones shrink.
  return lost + came > 0 ? Math.max(0, lost) / (Math.max(0, lost) + came) : null;
}

/** @param {Received} now @param {Received} [before] */
function waiting(now, before) {
  return mean(now.bufferedS, now.bufferedCount, before?.bufferedS, before?.bufferedCount);
}

/** @param {Received} now @param {Received} [before] */
function handling(now, before) {
  if (now.handlingS === undefined || now.frames === undefined) return null;
  return mean(now.handlingS, now.frames, before?.handlingS, before?.frames);
}

/**
 * Milliseconds for each since the last look, or ever when there was none since.
 * @param {number} totalS @param {number} count @param {number} [totalBeforeS] @param {number} [countBefore]
 */
function mean(totalS, count, totalBeforeS = 0, countBefore = 0) {
  if (count > countBefore) return ((totalS - totalBeforeS) / (count - countBefore)) * 1000;
  return count > 0 ? (totalS / count) * 1000 : null;
}

/** @typedef {import("./counts.js").Received} Received */
