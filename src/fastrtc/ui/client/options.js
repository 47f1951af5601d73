// @ts-check
/** What a page may ask of a client, and what it gets without asking. */

/**
 * Takes a body to the server and resolves to its answer; with `keepalive` the page may be leaving.
 * @typedef {(body: object, request: { keepalive?: boolean }) => Promise<any>} Signal
 */

/**
 * All optional.
 * @typedef {object} ClientOptions
 * @property {string} [url] where the stream is mounted, as given to `stream.mount`: "", "/voice" or
 *   "https://host/voice"; otherwise the stream that serves this file
 * @property {string} [id] the client's name for the call; an unguessable one is made otherwise
 * @property {"send-receive" | "send" | "receive"} [mode] named from the client, as on the server
 * @property {boolean | MediaTrackConstraints} [audio] true by default; constraints for the microphone
 * @property {boolean | MediaTrackConstraints} [video] false by default; constraints for the camera
 * @property {"camera" | "screen"} [source] of the picture that is sent
 * @property {boolean} [stereo] send the microphone in stereo (what comes may always be stereo)
 * @property {boolean} [pushToTalk] the microphone is silent until `talk(true)`
 * @property {"auto" | "webrtc" | "websocket"} [transport] auto: WebRTC, and a WebSocket if no path
 *   opens; over that `audio` and `video` have to be what the stream carries
 * @property {number} [fallbackAfterMs] how long WebRTC may take before the WebSocket is tried; 6000, with pictures 12000
 * @property {RTCConfiguration | Promise<RTCConfiguration>} [configuration] STUN and TURN servers; the
 *   server is asked otherwise
 * @property {Record<string, string>} [headers] sent with each request, to authorize it; a WebSocket
 *   cannot have any and needs cookies
 * @property {() => unknown} [inputs] answers the handler's `wait_for_args` (the message `send_input`):
 *   an object, or a promise of one, is posted to `inputUrl` with the `webrtc_id`; nothing is otherwise
 * @property {string} [inputUrl] `{url}/input_hook` otherwise
 * @property {Partial<RTCRtpSendParameters>} [rtpParams] for the picture that is sent
 * @property {Signal} [signal] carries offers, candidates and goodbyes instead of HTTP
 * @property {() => string | Promise<string>} [socketUrl] gives the WebSocket's when it is needed, "" for
 *   none; `{url}/websocket/offer` otherwise, and none where there is a `signal`
 */

/** The stream that serves this file. */
const MOUNTED_AT = new URL("..", import.meta.url).href.replace(/\/$/, "");

/** @param {ClientOptions} options */
export function complete(options) {
  const { url = MOUNTED_AT, mode = "send-receive", audio = true, video = false } = options;
  const sends = mode !== "receive";
  return {
    url,
    mode,
    id: options.id ?? unguessable(),
    kinds: { audio: audio !== false, video: video !== false },
    capture: {
      audio: sends ? constraints(audio) : null,
      video: sends ? constraints(video) : null,
      source: options.source ?? "camera",
      stereo: options.stereo ?? false,
      pushToTalk: options.pushToTalk ?? false,
    },
  };
}

/** @param {boolean | MediaTrackConstraints} wanted */
function constraints(wanted) {
  if (wanted === false) return null;
  return wanted === true ? {} : wanted;
}

function unguessable() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
