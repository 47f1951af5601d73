// @ts-check
/** Shows a call on the page: its button, its state in words, whose turn it is, what was said, its
 * levels. The call itself is `Call`'s. */

import { Call, Meter } from "./client/call.js";

/** @type {Record<import("./client/call.js").CallState, string>} */
const WORDS = {
  idle: "Not connected.",
  asking: "Asking for your microphone …",
  connecting: "Connecting …",
  live: "Connected.",
  reconnecting: "The network went away. Reconnecting …",
  closed: "The call has ended.",
};
const SHOW_TRIP_EVERY_MS = 1000;
/** What the server's log messages say of the turn. @type {Record<string, Turn>} */
const TURNS = { started_talking: "you", pause_detected: "thinking", response_starting: "speaking" };
/** A reply that was heard, and then not for so long, is over. */
const REPLY_OVER_MS = 900;
/** So is one of which nothing was heard for so long. */
const REPLY_LOST_MS = 5000;
const AUDIBLE = 0.05;

/** @typedef {"listening" | "you" | "thinking" | "speaking" | null} Turn */

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const audio = /** @type {HTMLAudioElement} */ (element("audio"));

/** @type {Call | null} */
let call = null;
/** @type {AudioContext | null} */
let context = null;
/** @type {Map<string, Meter>} */
const meters = new Map();
/** @type {EventSource | null} */
let outputs = null;
/** @type {Turn} */
let turn = null;
let replyOverAt = 0;

element("toggle").addEventListener("click", () => {
  if (call && !call.closed) call.close();
  else begin();
});
addEventListener("pagehide", () => call?.close());

async function begin() {
  tell("");
  const mine = new Call({ url: "webrtc/offer" });
  call = mine;
  // Made within the click, so that the browser lets it run.
  context ??= new AudioContext();
  const sound = context;
  mine.addEventListener("state", () => show(mine));
  mine.addEventListener("message", (event) => follow(/** @type {CustomEvent} */ (event).detail));
  mine.addEventListener("problem", (event) => tell(/** @type {CustomEvent<string>} */ (event).detail));
  mine.addEventListener("track", () => {
    audio.srcObject = mine.heard;
    if (mine.heard) meters.set("heard", new Meter(mine.heard, sound));
    if (mine.microphone) meters.set("sent", new Meter(mine.microphone, sound));
  });
  try {
    await mine.start();
  } catch {
    return; // show() has told the reason, which the call keeps.
  }
  outputs?.close();
  outputs = new EventSource(`outputs?webrtc_id=${encodeURIComponent(mine.id)}`);
  outputs.onmessage = ({ data }) => write(JSON.parse(data));
  requestAnimationFrame(() => draw(mine));
  showTrip(mine);
}

/** @param {Call} shown */
function show(shown) {
  if (shown !== call) return;
  element("call").dataset.state = shown.state;
  element("status").textContent = WORDS[shown.state];
  element("toggle").textContent = shown.closed ? "Start talking" : "Stop";
  if (shown.connectMs !== null) element("connect").textContent = `${Math.round(shown.connectMs)} ms`;
  if (shown.state === "live" && turn === null) take("listening");
  if (!shown.closed) return;
  tell(shown.reason);
  take(null);
  outputs?.close();
  for (const meter of meters.values()) meter.close();
  meters.clear();
  for (const id of ["sent", "heard"]) level(id, 0);
  element("trip").textContent = "–";
  audio.srcObject = null;
}

/** @param {Call} shown */
function draw(shown) {
  if (shown !== call || shown.closed) return;
  for (const [id, meter] of meters) level(id, meter.level());
  if ((meters.get("heard")?.level() ?? 0) > AUDIBLE) replyOverAt = performance.now() + REPLY_OVER_MS;
  if (turn === "speaking" && performance.now() > replyOverAt) take("listening");
  requestAnimationFrame(() => draw(shown));
}

/** @param {unknown} message from the server */
function follow(message) {
  const { type, data } = /** @type {{ type?: string, data?: string }} */ (message ?? {});
  const next = type === "log" ? TURNS[data ?? ""] : undefined;
  if (next === "speaking") replyOverAt = performance.now() + REPLY_LOST_MS;
  if (next) take(next);
}

/** @param {Turn} next */
function take(next) {
  turn = next;
  element("call").dataset.turn = next ?? "";
  for (const item of element("turn").children) {
    const shown = /** @type {HTMLElement} */ (item);
    if (shown.dataset.turn === next) shown.setAttribute("aria-current", "step");
    else shown.removeAttribute("aria-current");
  }
}

/** Adds a turn to the conversation. @param {{ heard: string, said: string }} both */
function write({ heard, said }) {
  const mine = document.createElement("li");
  mine.className = heard ? "mine" : "mine lost";
  mine.textContent = heard || "(not understood)";
  const its = document.createElement("li");
  its.textContent = said;
  const list = element("said");
  list.hidden = false;
  list.append(mine, its);
  list.scrollTop = list.scrollHeight;
}

/** @param {Call} shown */
async function showTrip(shown) {
  if (shown !== call || shown.closed) return;
  const tripMs = await shown.roundTripMs();
  if (tripMs !== null) element("trip").textContent = tripMs < 1 ? "under 1 ms" : `${Math.round(tripMs)} ms`;
  setTimeout(() => showTrip(shown), SHOW_TRIP_EVERY_MS);
}

/** @param {string} id @param {number} value from 0 to 1 */
function level(id, value) {
  const bar = element(id);
  bar.setAttribute("aria-valuenow", String(Math.round(value * 100)));
  /** @type {HTMLElement} */ (bar.firstElementChild).style.transform = `scaleX(${value})`;
}

/** @param {string} problem */
function tell(problem) {
  element("problem").textContent = problem;
  element("problem").hidden = !problem;
}

/** Shows Python source with its keywords and strings set apart. @param {string} source */
function print(source) {
  const parts = source.trimEnd().split(/("""[^"]*"""|\b(?:class|async|await|def|return|yield|from|import)\b)/);
  element("source").replaceChildren(
    ...parts.map((text, index) => {
      if (index % 2 === 0) return text;
      const span = document.createElement("span");
      span.className = text.startsWith('"') ? "quiet" : "keyword";
      span.textContent = text;
      return span;
    }),
  );
}

print(await (await fetch("handler.py")).text());
