// @ts-check
/** Requests to the server that carry no media: offers, candidates, configuration, inputs, outputs. */

import { ClientError, refusal, unanswered } from "./errors.js";

/** How long the server may take to say what its configuration is. */
const CONFIGURATION_MS = 20000;

/**
 * @typedef {object} SignallingOptions
 * @property {string} url where the stream is mounted
 * @property {string} id
 * @property {Record<string, string>} headers
 * @property {import("./options.js").Signal | undefined} signal instead of posting to the server
 */

export class Signalling {
  /** @param {SignallingOptions} options */
  constructor(options) {
    this.options = options;
  }

  /**
   * Sends an offer, a candidate or a goodbye; the id is added.
   * @param {object} body
   * @param {{ keepalive?: boolean }} [request] keepalive: outlives the page
   * @returns {Promise<any>} the server's answer
   */
  async send(body, request = {}) {
    const whole = { ...body, webrtc_id: this.options.id };
    if (this.options.signal) {
      const answer = (await this.options.signal(whole, request)) ?? {};
      if (answer.status === "failed") throw refusal(answer.meta ?? {});
      return answer;
    }
    return this.post(`${this.options.url}/webrtc/offer`, whole, request);
  }

  /** The server's `rtc_configuration`; empty when it has none. @returns {Promise<RTCConfiguration>} */
  async configuration() {
    if (this.options.signal) return {};
    const signal = AbortSignal.timeout(CONFIGURATION_MS);
    const response = await this.request(`${this.options.url}/webrtc/configuration`, { signal });
    if (response.status === 404) return {};
    if (!response.ok) throw httpError(response.status);
    return (await response.json()) ?? {};
  }

  /**
   * @param {string} url
   * @param {object} body
   * @param {{ keepalive?: boolean }} [request]
   */
  async post(url, body, request = {}) {
    const response = await this.request(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      ...request,
    });
    const answer = await response.json().catch(() => ({}));
    if (answer?.status === "failed") throw refusal(answer.meta ?? {});
    if (!response.ok) throw httpError(response.status);
    return answer;
  }

  /**
   * Server-sent events as {@link events} gives them, asked for again until they are no longer wanted:
   * a network that went away takes them with it.
   * @param {string} url
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<any, void, void>}
   */
  async *allEvents(url, signal) {
    while (!signal.aborted) {
      try {
        yield* this.events(url, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ClientError && error.final) throw error;
      }
      await pause(signal);
    }
  }

  /**
   * Server-sent events, parsed when they are JSON, until the server ends them.
   * @param {string} url `webrtc_id` is added to its query
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<any, void, void>}
   */
  async *events(url, signal) {
    const asked = `${url}${url.includes("?") ? "&" : "?"}webrtc_id=${encodeURIComponent(this.options.id)}`;
    const response = await this.request(asked, { headers: { Accept: "text/event-stream" }, signal });
    if (!response.ok || !response.body) throw httpError(response.status);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        const blocks = (rest + value).split(/\r\n\r\n|\n\n|\r\r/);
        rest = /** @type {string} */ (blocks.pop());
        for (const block of blocks) {
          const lines = block.split(/\r\n?|\n/).filter((line) => line.startsWith("data:"));
          if (lines.length) yield parsed(lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n"));
        }
      }
    } finally {
      reader.cancel().catch(() => {}); // Who stops reading does not want to hear of the rest.
    }
  }

  /** @param {string} url @param {RequestInit} init */
  async request(url, init) {
    try {
      return await fetch(url, { ...init, headers: { ...init.headers, ...this.options.headers } });
    } catch (error) {
      if (error instanceof ClientError) throw error; // Why the call was ended.
      throw unanswered();
    }
  }
}

/** Waits a second, or until the signal comes. @param {AbortSignal} signal @returns {Promise<void>} */
function pause(signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 1000);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** JSON where it is JSON; handlers may send plain text. @param {unknown} text @returns {any} */
export function parsed(text) {
  if (typeof text !== "string") return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** @param {number} status */
function httpError(status) {
  if (status === 401 || status === 403) {
    return new ClientError("unauthorized", "The server did not let you in. Sign in and try again.");
  }
  return new ClientError("refused", `The server refused the call (HTTP ${status}).`, status < 500);
}
