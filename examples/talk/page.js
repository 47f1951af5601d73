// @ts-check
/** Shows a call on the page: its button, its state in words, whose turn it is, what was said, its
 * levels. The call itself is the `Client`'s. */

import { Client } from "./client/fastrtc.js";

/** @type {Record<Client["state"], string>} */
const WORDS = {
  idle: "Not connected.",
  asking: "Asking for your microphone …",
  connecting: "Connecting …",
  live: "Connected.",
  reconnecting: "The network went away. Reconnecting …",
  closed: "The call has ended.",
};
const SHOW_TRIP_EVERY_MS = 1000;

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @type {Client | null} */
let client = null;

element("toggle").addEventListener("click", () => {
  if (client && !client.closed) client.close();
  else begin();
});

async function begin() {
  tell("");
  const mine = new Client();
  client = mine;
  mine.play(/** @type {HTMLAudioElement} */ (element("audio")));
  mine.addEventListener("state", () => show(mine));
  mine.addEventListener("turn", () => take(mine.turn));
  mine.addEventListener("error", (event) => tell(/** @type {CustomEvent<Error>} */ (event).detail.message));
  try {
    await mine.connect();
  } catch {
    return; // The event has told why.
  }
  requestAnimationFrame(() => draw(mine));
  showTrip(mine);
  for await (const output of mine.outputs()) write(output);
}

/** @param {Client} shown */
function show(shown) {
  if (shown !== client) return;
  element("call").dataset.state = shown.state;
  element("status").textContent = WORDS[shown.state];
  element("toggle").textContent = shown.closed ? "Start talking" : "Stop";
  if (shown.connectMs !== null) element("connect").textContent = `${Math.round(shown.connectMs)} ms`;
  if (shown.state === "live") take(shown.turn);
  if (!shown.closed) return;
  take(null);
  for (const id of ["sent", "heard"]) level(id, 0);
  element("trip").textContent = "–";
}

/** @param {Client} shown */
function draw(shown) {
  if (shown !== client || shown.closed) return;
  const { sent, heard } = shown.levels();
  level("sent", sent);
  level("heard", heard);
  requestAnimationFrame(() => draw(shown));
}

/** @param {Client["turn"] | null} next */
function take(next) {
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

/** @param {Client} shown */
async function showTrip(shown) {
  if (shown !== client || shown.closed) return;
  const { roundTripMs } = await shown.stats();
  if (roundTripMs !== null) element("trip").textContent = roundTripMs < 1 ? "under 1 ms" : `${Math.round(roundTripMs)} ms`;
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
