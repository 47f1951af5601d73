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
 * @typedef {object} Link
 * @property {"webrtc" | "websocket"} name
 * @property {() => Promise<void>} open resolves once media flows; rejects with a ClientError
 * @property {(text: string) => boolean} send false while there is no channel
 * @property {(track: MediaStreamTrack) => Promise<void>} replaceTrack sends this instead of its kind's last
 * @property {() => Promise<import("./counts.js").Counts>} count
 * @property {() => void} close says goodbye, see {@link part}
 */

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
