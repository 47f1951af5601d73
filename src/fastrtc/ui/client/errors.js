// @ts-check
/** What can go wrong, in words for the person at the screen. Knows no connection and no element. */

/**
 * What went wrong, for programs: pages in other languages choose their own words by it.
 * - `not-secure`: the page is neither https nor localhost, so there is no microphone
 * - `blocked`: the microphone, camera or screen was refused; `embedded`: by the page around this one
 * - `no-device`, `device-busy`: none is there; another program has it
 * - `limit`, `time-limit`: all places are taken; the call's time is over
 * - `unauthorized`, `refused`: the server's `authorize`; any other refusal
 * - `unreachable`, `no-path`, `lost`: no server; it answers but media does not pass; it went away
 * - `ended`: the server ended the call; `handler`: the server's function failed, or says so
 * - `misuse`: the page called something at the wrong time; `unknown`: the message has what is known
 * @typedef {"not-secure" | "blocked" | "embedded" | "no-device" | "device-busy" | "limit"
 *   | "time-limit" | "unauthorized" | "refused" | "unreachable" | "no-path" | "lost" | "ended"
 *   | "handler" | "misuse" | "unknown"} ErrorCode
 */

/** Thrown by the client's methods and carried by its `error` event; `message` is for people. */
export class ClientError extends Error {
  /**
   * @param {ErrorCode} code
   * @param {string} message
   * @param {boolean} [final] whether trying again, without a change, is of no use
   */
  constructor(code, message, final = true) {
    super(message);
    this.name = "ClientError";
    this.code = code;
    this.final = final;
  }
}

/**
 * The body of a refusal, `{"status": "failed", "meta": {...}}`.
 * @param {Record<string, unknown>} meta
 */
export function refusal(meta) {
  switch (meta.error) {
    case "concurrency_limit_reached":
      return new ClientError("limit", `All places are taken (${meta.limit}). Try again later.`);
    case "connection_already_exists":
      return new ClientError("refused", "This call already exists elsewhere.");
    case "unknown_connection":
    case "connection_closed":
      return new ClientError("ended", "The server has ended this call.");
    default:
      return new ClientError("refused", `The server refused the call: ${meta.reason ?? meta.error}.`);
  }
}

/** No answer came to a request, or not in time. */
export const unanswered = () => new ClientError("unreachable", "The server does not answer. Is it running?", false);

/**
 * The server's last message, which may say that the time is over.
 * @param {unknown} text
 */
export function goodbye(text) {
  const said = typeof text === "string" && text ? text : "The server ended the call.";
  return new ClientError(/^time limit\b/i.test(said) ? "time-limit" : "ended", said);
}

/**
 * Why a device cannot be had.
 * @param {unknown} error what getUserMedia or getDisplayMedia threw
 * @param {string} device "microphone", "camera", "microphone or camera", "screen", "speaker"
 */
export function deviceError(error, device) {
  const name = error instanceof DOMException ? error.name : "";
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      if (isForbiddenByFrame(device)) {
        return new ClientError(
          "embedded",
          `The page around this one does not let it use the ${device}. Open this page by itself.`,
        );
      }
      return device === "screen"
        ? new ClientError("blocked", "The screen was not shared. Try again and choose what to show.")
        : new ClientError("blocked", `The ${device} is blocked. Allow it beside the address bar and try again.`);
    case "NotFoundError":
    case "OverconstrainedError":
      return new ClientError("no-device", `No ${device} was found. Plug one in and try again.`);
    case "NotReadableError":
    case "AbortError":
      return new ClientError("device-busy", `The ${device} is in use by another program.`);
    default:
      return inWords(error);
  }
}

/**
 * Any error as a ClientError.
 * @param {unknown} error
 */
export function inWords(error) {
  if (error instanceof ClientError) return error;
  return new ClientError("unknown", `Something went wrong: ${error instanceof Error ? error.message : error}.`);
}

/** What policies call the devices that are not called so there. @type {Record<string, string>} */
const FEATURES = { screen: "display-capture", speaker: "speaker-selection" };

/** @param {string} device */
function isForbiddenByFrame(device) {
  /** Chromium alone tells; elsewhere "blocked" is near enough. @type {{ featurePolicy?: { allowsFeature(name: string): boolean } }} */
  const { featurePolicy } = /** @type {any} */ (document);
  if (!featurePolicy || window === window.top) return false;
  return device.split(" or ").some((part) => !featurePolicy.allowsFeature(FEATURES[part] ?? part));
}
