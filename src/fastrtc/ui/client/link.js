// @ts-check
/** What a client asks of a link, and what a link tells it: `peer.js` is WebRTC, `socket.js` a WebSocket. */

/**
 * @typedef {object} LinkEvents
 * @property {(track: MediaStreamTrack) => void} track came from the server
 * @property {(data: unknown) => void} data a message came
 * @property {() => void} up media flows, for the first time or again
 * @property {() => void} down the network went away; the link is bringing it back
 * @property {(error: import("./errors.js").ClientError) => void} end it is over, and this is why
 */

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

/**
 * @typedef {object} Link
 * @property {"webrtc" | "websocket"} name
 * @property {() => Promise<void>} open resolves once media flows; rejects with a ClientError
 * @property {(text: string) => boolean} send false while there is no channel
 * @property {(track: MediaStreamTrack) => Promise<void>} replaceTrack sends this instead of its kind's last
 * @property {() => Promise<Counts>} count
 * @property {() => void} close says goodbye, see {@link part}
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

/** How long a call waits for the goodbyes of the calls before it, counted from each goodbye. */
const GOODBYE_MS = 1000;
/** Goodbyes of this page's calls that are on their way. @type {Set<Promise<unknown>>} */
const goodbyes = new Set();

/** A call's goodbye is on its way: the next call may need its place. @param {Promise<unknown>} goodbye */
export function part(goodbye) {
  // A goodbye that is not taken costs the place half a minute, and nobody can do anything about it.
  const said = Promise.race([goodbye.catch(() => {}), sleep(GOODBYE_MS)]).finally(() => goodbyes.delete(said));
  goodbyes.add(said);
}

/** Resolves once all goodbyes are taken, or have had their time. */
export const parted = () => Promise.all(goodbyes);

/**
 * What `work` comes to, unless the signal is given first: then rejects with the signal's reason. A
 * browser leaves much unsettled for ever: a closed connection's offer, a question that nobody answers.
 * @template T
 * @param {AbortSignal} signal
 * @param {Promise<T>} work goes on; what it comes to then is of no interest
 * @returns {Promise<T>}
 */
export function until(signal, work) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** @param {number} ms @returns {Promise<void>} */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
