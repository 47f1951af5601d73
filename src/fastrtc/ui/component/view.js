// @ts-check
/** What the visitor sees and presses. Knows no server: index.js tells it what to show. */

import { listDevices } from "../client/fastrtc.js";
import { BUTTONS, inOneLine, MUTES, NUMBERS, STATES, TURNS } from "./words.js";

/** @typedef {import("../client/client.js").Client} Client */
/** @typedef {import("./index.js").SharedProps & import("./index.js").OwnProps} Settings */
/** @typedef {{ toggle: () => void, submit: (text: string) => void }} Wishes */

const BARS = 24;
/** Where on the spectrum voices are, as a share of what an analyser tells. */
const VOICES = 0.4;
const AUDIBLE = 0.05;

export class View {
  /** @param {Element} target @param {Settings} settings @param {Wishes} wishes */
  constructor(target, settings, wishes) {
    this.host = document.createElement("div");
    this.host.className = "fastrtc";
    this.hasPicture = settings.modality !== "audio";
    this.hasSound = settings.modality !== "video";
    this.sends = settings.mode !== "receive";
    this.receives = settings.mode !== "send";
    /** @type {Client | null} */
    this.client = null;
    this.settings = settings;
    /** @type {HTMLButtonElement[]} */
    this.mutes = [];
    this.numbers = make("dl");
    this.menus = make("div", { className: "devices" });
    this.spectrum = new Uint8Array(0);

    this.label = make("h2");
    this.dot = make("span", { className: "dot" });
    this.words = make("span");
    this.told = make("p", { className: "told" }, this.dot, this.words);
    this.told.setAttribute("role", "status");
    this.rates = make("p", { className: "rates" });
    this.problem = make("p", { className: "problem", hidden: true });
    this.problem.setAttribute("role", "alert");
    this.toggle = make("button", { type: "button", className: "toggle", onclick: wishes.toggle });
    this.stage = this.makeStage();
    this.form = this.makeForm(wishes);
    this.details = this.makeDetails();
    this.card = make(
      "section",
      { className: "card" },
      this.label,
      this.stage,
      this.told,
      this.rates,
      this.problem,
      this.form,
      make("div", { className: "controls" }, this.toggle, ...this.makeButtons()),
      this.details,
    );
    const root = this.host.attachShadow({ mode: "open" });
    const sheet = make("link", { rel: "stylesheet", href: new URL("./looks.css", import.meta.url).href });
    // Nothing is shown before it has its looks.
    this.card.hidden = true;
    sheet.onload = sheet.onerror = () => (this.card.hidden = false);
    root.append(sheet, this.card);
    target.append(this.host);
    this.draw(settings);
    this.end();
  }

  remove() {
    this.host.remove();
  }

  /** Follows the component's settings, which functions may change. @param {Settings} settings */
  draw(settings) {
    this.settings = settings;
    const { host, card, stage } = this;
    host.hidden = settings.visible === "hidden" || settings.visible === false;
    host.id = settings.elem_id ?? "";
    host.className = ["fastrtc", ...(settings.elem_classes ?? [])].join(" ");
    host.style.flexGrow = settings.scale == null ? "" : String(settings.scale);
    host.style.minWidth = `min(${settings.min_width ?? 160}px, 100%)`;
    const name = settings.label ?? (this.hasPicture ? "Video" : "Audio");
    this.label.textContent = name;
    this.label.hidden = settings.show_label === false;
    card.setAttribute("aria-label", name);
    card.classList.toggle("boxed", settings.container !== false);
    card.classList.toggle("picture", this.hasPicture);
    card.classList.toggle("wide", this.hasPicture && settings.full_screen);
    stage.style.height = length(settings.height);
    stage.style.width = length(settings.width);
    if (settings.height) stage.style.aspectRatio = "auto";
    card.style.setProperty("--pulse", settings.pulse_color ?? null);
    card.style.setProperty("--button", settings.icon_button_color ?? null);
    card.style.setProperty("--radius", settings.icon_radius == null ? null : `${settings.icon_radius}%`);
    for (const [element, ours] of this.mirrors ?? []) {
      element.classList.toggle("mirrored", settings.mirror_webcam && ours);
    }
    this.show(this.client);
  }

  /** A call begins. @param {Client} client */
  begin(client) {
    this.client = client;
    this.complain("");
    if (this.hasPicture && this.mine) client.preview(this.mine);
    if (this.main && this.receives) client.play(this.main);
    client.volume = Number(this.volume?.value ?? 1);
    client.addEventListener("blocked", () => this.unblock(client));
    client.addEventListener("local", () => this.mine && client.preview(this.mine));
    this.show(client);
  }

  /** The browser plays only after a gesture. @param {Client} client */
  unblock(client) {
    this.complain("Your browser plays nothing yet: press anywhere, or any key.");
    const gesture = new AbortController();
    const resume = () => {
      gesture.abort();
      client.resume();
      this.complain("");
    };
    for (const event of ["pointerup", "keydown"]) {
      addEventListener(event, resume, { signal: gesture.signal });
    }
  }

  /** @param {Client | null} client */
  show(client) {
    const state = client?.state ?? "idle";
    const { button_labels: labels, interactive } = this.settings;
    this.card.dataset.state = state;
    this.card.dataset.turn = client && state === "live" ? client.turn : "";
    this.words.textContent = this.sentence(client);
    const waits = state === "asking" || state === "connecting";
    const action = waits ? "waiting" : state === "live" || state === "reconnecting" ? "stop" : "start";
    this.toggle.textContent = labels[action] || BUTTONS[action];
    this.toggle.disabled = interactive === false && this.sends;
    // In mode "receive" something else on the page starts it.
    this.toggle.hidden = !this.sends && action === "start";
    for (const button of this.mutes) button.hidden = state !== "live";
    if (this.enlarge) this.enlarge.hidden = state !== "live" || !document.fullscreenEnabled;
  }

  /** The call is over. */
  end() {
    const problem = this.client?.reason;
    this.client = null;
    if (problem) this.complain(problem);
    for (const button of this.mutes) button.textContent = MUTES[button.dataset.kind === "audio" ? "audio" : "video"][0];
    for (const video of [this.mine, this.main]) if (video) video.srcObject = null;
    this.rates.textContent = "";
    this.level(0, []);
    this.show(null);
  }

  /** @param {string} problem "" for none */
  complain(problem) {
    this.problem.textContent = problem;
    this.problem.hidden = !problem;
  }

  /** @param {Client | null} client */
  sentence(client) {
    if (client?.state !== "live") return STATES[client?.state ?? "idle"];
    if (this.hasSound && this.sends && this.receives) return TURNS[client.turn];
    return this.sends ? "Live" : "Playing";
  }

  // While it runs.

  /** One frame of the wave, or of the pulse around the icon. @param {Client} client */
  animate(client) {
    if (this.hasPicture) return;
    const { sent, heard } = client.levels();
    const side = this.receives && (heard > AUDIBLE || !this.sends) ? "heard" : "sent";
    this.card.dataset.speaker = side;
    const analyser = client.analyser(side);
    /** @type {number[]} */
    let bands = [];
    if (analyser) {
      const count = analyser.frequencyBinCount;
      if (this.spectrum.length !== count) this.spectrum = new Uint8Array(count);
      analyser.getByteFrequencyData(this.spectrum);
      const step = (count * VOICES) / BARS;
      const { spectrum } = this;
      bands = Array.from({ length: BARS }, (_, at) => spectrum[Math.floor(at * step)] / 255);
    }
    this.level(side === "sent" ? sent : heard, bands);
  }

  /** @param {number} level @param {number[]} bands */
  level(level, bands) {
    this.icon?.style.setProperty("--level", level.toFixed(3));
    const middle = (BARS - 1) / 2;
    for (const [at, bar] of (this.bars ?? []).entries()) {
      // Low voices in the middle, high ones outside, on both sides alike.
      const band = bands[Math.floor(Math.abs(at - middle) * 2)] ?? 0;
      bar.style.setProperty("--level", Math.max(0.07, band).toFixed(3));
    }
  }

  get showsStatistics() {
    return this.hasPicture || this.details.open;
  }

  /** @param {Record<string, any>} statistics of both sides; null or missing is not known */
  count(statistics) {
    if (this.hasPicture) this.rates.textContent = inOneLine(statistics);
    const ways = { both: true, coming: this.receives, going: this.sends };
    const shown = NUMBERS.flatMap(([key, name, write, way]) => {
      const isOurs = ways[way] && (this.hasSound || key !== "frames_dropped");
      const value = isOurs ? (statistics[key] ?? null) : null;
      return value === null ? [] : [make("div", {}, make("dt", {}, name), make("dd", {}, write(value)))];
    });
    this.numbers.replaceChildren(...shown);
  }

  /** Fills the menus, now that the browser tells the names. @param {Client} client */
  async listDevices(client) {
    const { microphones, cameras, speakers } = await listDevices();
    const menus = /** @type {const} */ ([
      ["Microphone", this.sends && this.hasSound, microphones, (/** @type {string} */ id) => client.setMicrophone(id)],
      ["Camera", this.sends && this.hasPicture, cameras, (/** @type {string} */ id) => client.setCamera(id)],
      ["Speaker", this.receives && this.hasSound, speakers, (/** @type {string} */ id) => client.setSpeaker(id)],
    ]);
    this.menus.replaceChildren(
      ...menus
        .filter(([, used, devices]) => used && devices.length > 1)
        .map(([name, , devices, choose]) => {
          const options = devices.map(({ id, label }) => make("option", { value: id }, label));
          const select = make("select", {}, ...options);
          select.onchange = () => choose(select.value).catch((error) => this.complain(error.message));
          return make("label", {}, name, select);
        }),
    );
  }

  // How it is made.

  makeStage() {
    const stage = make("div", { className: "stage" });
    if (this.hasPicture) {
      this.main = make("video", { className: "main", autoplay: true });
      this.main.setAttribute("playsinline", "");
      this.main.setAttribute("aria-label", this.receives ? "Picture from the server" : "Your camera");
      stage.append(this.main);
      if (this.sends) {
        this.mine = this.receives ? make("video", { className: "mine", muted: true }) : this.main;
        this.mine.setAttribute("aria-label", "Your camera");
        stage.append(this.mine);
        /** @type {[HTMLElement, boolean][]} */
        this.mirrors = [[this.mine, true]];
      }
    } else if (this.settings.icon) {
      this.icon = make("div", { className: "icon" }, make("img", { src: this.settings.icon.url, alt: "" }));
      stage.append(this.icon);
    } else {
      this.bars = Array.from({ length: BARS }, () => make("i"));
      const wave = make("div", { className: "wave" }, ...this.bars);
      wave.setAttribute("aria-hidden", "true");
      stage.append(wave);
    }
    return stage;
  }

  /** @param {Wishes} wishes */
  makeForm(wishes) {
    const input = make("input", { type: "text", placeholder: "Type a message", autocomplete: "off" });
    input.setAttribute("aria-label", "Message");
    const form = make("form", {}, input, make("button", { type: "submit" }, "Send"));
    form.hidden = this.settings.variant !== "textbox";
    form.onsubmit = (event) => {
      event.preventDefault();
      const text = input.value.trim();
      if (!text) return;
      input.value = "";
      wishes.submit(text);
    };
    return form;
  }

  makeButtons() {
    for (const kind of /** @type {const} */ (["audio", "video"])) {
      if (!this.sends || !(kind === "audio" ? this.hasSound : this.hasPicture)) continue;
      const button = make("button", { type: "button" }, MUTES[kind][0]);
      button.onclick = () => {
        const muted = button.textContent === MUTES[kind][0];
        button.textContent = MUTES[kind][Number(muted)];
        this.client?.mute(muted, kind);
      };
      button.dataset.kind = kind;
      this.mutes.push(button);
    }
    if (!this.hasPicture) return this.mutes;
    this.enlarge = make("button", { type: "button" }, "Full screen");
    this.enlarge.onclick = () => {
      this.stage.requestFullscreen().catch((error) => this.complain(error.message));
    };
    return [...this.mutes, this.enlarge];
  }

  makeDetails() {
    const volume = make("div", { className: "devices" });
    if (this.receives && this.hasSound) {
      this.volume = make("input", { type: "range", min: "0", max: "1", step: "0.05", value: "1" });
      this.volume.oninput = () => {
        if (this.client) this.client.volume = Number(this.volume?.value);
      };
      volume.append(make("label", {}, "Volume", this.volume));
    }
    return make("details", {}, make("summary", {}, "Devices and connection"), this.menus, volume, this.numbers);
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** @param {number | string | null | undefined} value in pixels, or CSS */
function length(value) {
  return typeof value === "number" ? `${value}px` : (value ?? "");
}
