// @ts-check
/** Joins the three: Gradio's page, what the visitor sees (view.js), and the call (`../client/`). */

import { Client } from "../client/fastrtc.js";
import { View } from "./view.js";

/** What a trigger's value begins with; what follows tells one start from the next. */
const START = "start_webrtc_stream";
const STATISTICS_EVERY_MS = 1000;

/**
 * What Gradio gives every component.
 * @typedef {object} SharedProps
 * @property {number} id
 * @property {string} [label]
 * @property {boolean} [show_label]
 * @property {boolean} [container]
 * @property {boolean | "hidden"} [visible]
 * @property {boolean} [interactive]
 * @property {string} [elem_id]
 * @property {string[]} [elem_classes]
 * @property {number | null} [scale]
 * @property {number} [min_width]
 * @property {Record<string, (argument: unknown) => Promise<any>>} server our server functions
 * @property {(id: number, set: (update: Record<string, any>) => void, get: () => Promise<object>) => void} register_component
 * @property {(id: number, set: (update: Record<string, any>) => void) => void} [unregister_component]
 * @property {(id: number, event: string, data: unknown) => void} dispatcher
 */

/**
 * What `WebRTC.get_config()` in Python adds; Gradio leaves out what is None there.
 * @typedef {object} OwnProps
 * @property {unknown} value
 * @property {"send-receive" | "send" | "receive"} mode
 * @property {"audio" | "video" | "audio-video"} modality
 * @property {"wave" | "textbox"} variant
 * @property {Record<string, any>} track_constraints
 * @property {Partial<RTCRtpSendParameters>} rtp_params
 * @property {{ start: string, stop: string, waiting: string }} button_labels
 * @property {boolean} mirror_webcam
 * @property {boolean} full_screen
 * @property {number | string} [height]
 * @property {number | string} [width]
 * @property {{ url: string }} [icon]
 * @property {string} [icon_button_color]
 * @property {string} [pulse_color]
 * @property {number} [icon_radius]
 */

/** @typedef {{ shared_props: SharedProps, props: OwnProps }} MountProps */
/** @typedef {{ adopt: (props: MountProps) => void, destroy: () => void }} Mounted */

/** @param {Element} target @param {MountProps} mounted @returns {Mounted} */
export default function make(target, mounted) {
  return new Component(target, mounted);
}

class Component {
  /** @param {Element} target @param {MountProps} mounted */
  constructor(target, mounted) {
    /** @type {Client | null} */
    this.client = null;
    this.typed = "";
    this.started = "";
    this.wasLive = false;
    this.timer = 0;
    this.frame = 0;
    this.way = "";
    this.shared = mounted.shared_props;
    this.settings = { ...mounted.shared_props, ...mounted.props };
    this.view = new View(target, this.settings, {
      toggle: () => (this.client ? this.stop() : this.start()),
      submit: (text) => this.submit(text),
    });
    this.set = (/** @type {Record<string, any>} */ update) => this.update(update);
    this.leave = () => this.client?.close();
    addEventListener("pagehide", this.leave);
    this.register();
  }

  /** Gradio mounts again what it has just unmounted. @param {MountProps} mounted */
  adopt(mounted) {
    this.shared = mounted.shared_props;
    this.register();
    const { value: _, ...settings } = mounted.props;
    this.update({ ...mounted.shared_props, ...settings });
  }

  destroy() {
    removeEventListener("pagehide", this.leave);
    this.shared.unregister_component?.(this.shared.id, this.set);
    this.client?.close();
    this.view.remove();
  }

  register() {
    this.shared.register_component(this.shared.id, this.set, async () => ({ value: this.value }));
  }

  /** What functions get that have the component among their inputs. */
  get value() {
    const id = this.lastId ?? null;
    return this.settings.variant === "textbox" ? { webrtc_id: id, textbox: this.typed } : id;
  }

  /** @param {Record<string, any>} update */
  update(update) {
    const { value, ...settings } = update;
    Object.assign(this.settings, settings);
    this.view.draw(this.settings);
    if (typeof value !== "string" || !value.startsWith(START) || value === this.started) return;
    this.started = value;
    this.stop();
    this.start();
  }

  /** @param {string} event @param {unknown} [data] */
  tell(event, data = null) {
    this.shared.dispatcher(this.shared.id, event, data);
  }

  stop() {
    this.client?.close();
  }

  async start() {
    const { settings } = this;
    const client = new Client({
      mode: settings.mode,
      ...captured(settings),
      rtpParams: settings.rtp_params,
      configuration: /** @type {any} */ (this.configuration()),
      signal: (body, { keepalive }) => (keepalive && this.way ? this.post(body) : this.shared.server.offer(body)),
      socketUrl: () => this.findWay(),
    });
    this.client = client;
    this.lastId = client.id;
    this.wasLive = false;
    this.view.begin(client);
    client.addEventListener("state", () => this.follow(client));
    client.addEventListener("turn", () => this.view.show(client));
    client.addEventListener("message", (event) => {
      if (/** @type {CustomEvent} */ (event).detail?.type === "send_input") this.tell("tick");
    });
    client.addEventListener("warning", (event) => this.tell("warning", /** @type {CustomEvent} */ (event).detail));
    client.addEventListener("error", (event) => {
      const error = /** @type {CustomEvent<Error & { code: string }>} */ (event).detail;
      if (error.code === "handler") this.tell("error", error.message);
      this.view.complain(error.message);
    });
    this.findWay().catch(() => {}); // Who needs it asks again, and is told.
    // The handler's first call shall find the inputs there.
    this.tell("tick");
    try {
      await client.connect();
    } catch {
      // The event "error" has told.
    }
  }

  /** @param {Client} client */
  follow(client) {
    if (client !== this.client) return;
    this.view.show(client);
    if (client.state === "live" && !this.wasLive) {
      this.wasLive = true;
      this.tell("state_change");
      this.tell("start_recording");
      this.view.listDevices(client);
      this.animate(client);
      this.measure(client);
      if (this.typed) this.tell("submit");
    }
    if (!client.closed) return;
    this.client = null;
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    this.view.end();
    if (this.wasLive) this.tell("stop_recording");
  }

  /** @param {string} text */
  submit(text) {
    this.typed = text;
    if (this.client?.state === "live") this.tell("submit");
    else if (!this.client) this.start();
  }

  /** @param {Client} client */
  animate(client) {
    this.frame = requestAnimationFrame(() => this.animate(client));
    this.view.animate(client);
  }

  /** @param {Client} client */
  async measure(client) {
    if (this.view.showsStatistics) {
      try {
        const [ours, theirs] = await Promise.all([client.stats(), this.shared.server.statistics(client.id)]);
        if (client === this.client) this.view.count({ ...ours, ...theirs });
      } catch (error) {
        // The network is away, as a rule: the next look may find it.
        console.warn("fastrtc: no statistics:", error);
      }
    }
    if (client === this.client) this.timer = setTimeout(() => this.measure(client), STATISTICS_EVERY_MS);
  }

  /** Past Gradio, whose page is where its components' files are, whatever prefix that has; "" for none. */
  async findWay() {
    const path = await this.shared.server.socket(null);
    this.way = path ? new URL(`../../../../../${path}`, import.meta.url).href : "";
    return this.way;
  }

  /**
   * A request that outlives the page, which those of Gradio's client do not; theirs where a proxy knows no other way.
   * @param {object} body
   */
  async post(body) {
    const headers = { "Content-Type": "application/json" };
    try {
      const response = await fetch(this.way, { method: "POST", keepalive: true, headers, body: JSON.stringify(body) });
      if (response.ok) return await response.json();
    } catch (error) {
      console.warn("fastrtc: a goodbye was not taken:", error);
    }
    return this.shared.server.offer(body);
  }

  /** @returns {Promise<RTCConfiguration>} */
  async configuration() {
    const answer = (await this.shared.server.turn(null)) ?? {};
    if (answer.status !== "failed") return answer;
    throw new Error(answer.meta.reason);
  }
}

/** @param {OwnProps} settings */
function captured({ modality, track_constraints: constraints }) {
  if (modality === "audio") return { audio: constraints, video: false };
  if (modality === "video") return { audio: false, video: constraints };
  return { audio: constraints.audio ?? true, video: constraints.video ?? true };
}
