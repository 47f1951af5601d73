// @ts-check
/** What links count, and browsers for them. Pure; loaded when somebody asks for numbers. */

/**
 * What a link has counted; missing where it cannot know.
 * @typedef {object} Counts
 * @property {number} atMs when, on `performance.now()`'s clock
 * @property {number} bytesSent
 * @property {number} bytesReceived
 * @property {number | null} roundTripMs
 * @property {Received} audio
 * @property {Received} video
 * @property {number | null} lossOfSent the share of our packets that the server misses, 0 to 1
 */

/**
 * One kind of media from the server, totals since the beginning.
 * @typedef {object} Received
 * @property {number} packets
 * @property {number} lost
 * @property {number | null} jitterMs
 * @property {number} bufferedS time that all samples or frames together waited in the jitter buffer
 * @property {number} bufferedCount how many those were
 * @property {number} [frames] decoded video frames
 * @property {number} [handlingS] time that all frames took from their first packet to being decoded
 * @property {number} [width] of the newest frame
 * @property {number} [height] of the newest frame
 */

/** What a link has counted that has not begun. @returns {Counts} */
export const nothingCounted = () => ({
  atMs: performance.now(),
  bytesSent: 0,
  bytesReceived: 0,
  roundTripMs: null,
  audio: nothingReceived(),
  video: nothingReceived(),
  lossOfSent: null,
});

/** @returns {Received} */
export const nothingReceived = () => ({ packets: 0, lost: 0, jitterMs: null, bufferedS: 0, bufferedCount: 0 });

/** What a peer connection counted. @param {RTCStatsReport} report @returns {Counts} */
export function counted(report) {
  const counts = nothingCounted();
  for (const entry of report.values()) {
    if (entry.type === "candidate-pair" && entry.nominated && entry.currentRoundTripTime !== undefined) {
      counts.roundTripMs = entry.currentRoundTripTime * 1000;
    } else if (entry.type === "outbound-rtp") {
      counts.bytesSent += entry.bytesSent ?? 0;
    } else if (entry.type === "remote-inbound-rtp") {
      counts.lossOfSent = Math.max(counts.lossOfSent ?? 0, entry.fractionLost ?? 0);
      // Firefox knows the round trip from here alone.
      if (entry.roundTripTime !== undefined) counts.roundTripMs ??= entry.roundTripTime * 1000;
    } else if (entry.type === "inbound-rtp") {
      counts.bytesReceived += entry.bytesReceived ?? 0;
      counts[entry.kind === "video" ? "video" : "audio"] = received(entry);
    }
  }
  return counts;
}

/** @param {any} entry of type inbound-rtp @returns {Received} */
function received(entry) {
  return {
    packets: entry.packetsReceived ?? 0,
    lost: entry.packetsLost ?? 0,
    jitterMs: entry.jitter === undefined ? null : entry.jitter * 1000,
    bufferedS: entry.jitterBufferDelay ?? 0,
    bufferedCount: entry.jitterBufferEmittedCount ?? 0,
    frames: entry.framesDecoded,
    handlingS: entry.totalProcessingDelay,
    width: entry.frameWidth,
    height: entry.frameHeight,
  };
}
