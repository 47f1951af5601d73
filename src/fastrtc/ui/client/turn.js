// @ts-check
/** Whose turn it is in a conversation, from the server's log messages and the levels. Shows nothing. */

/**
 * `listening` to nobody in particular, `hearing` the person, `thinking` since the pause, `speaking`.
 * @typedef {"listening" | "hearing" | "thinking" | "speaking"} Turn
 */

/** What the server's log messages say of the turn. @type {Record<string, Turn>} */
const TOLD = { started_talking: "hearing", pause_detected: "thinking", response_starting: "speaking" };
/** A reply that was heard, and then not for so long, is over. */
const REPLY_OVER_MS = 900;
/** So is one of which nothing was heard for so long. */
const REPLY_LOST_MS = 5000;
const LOOK_EVERY_MS = 50;
const AUDIBLE = 0.05;
/** Louder than a quiet room, where microphones gain what there is. */
const SPOKEN = 0.35;

export class TurnTracker {
  /**
   * @param {() => { sent: number, heard: number }} levels from 0 to 1
   * @param {(turn: Turn) => void} changed
   */
  constructor(levels, changed) {
    this.levels = levels;
    this.changed = changed;
    /** @type {Turn} */
    this.turn = "listening";
    /** From the end of the person's last words to the sound of the reply. @type {number | null} */
    this.latencyMs = null;
    this.timer = 0;
    this.spokeAt = 0;
    this.overAt = 0;
    this.answered = true;
  }

  /** @param {unknown} log the data of a message of type "log" */
  follow(log) {
    const turn = TOLD[String(log)];
    if (!turn) return;
    if (turn === "hearing") this.spokeAt = performance.now();
    if (turn === "speaking") {
      this.overAt = performance.now() + REPLY_LOST_MS;
      this.answered = false;
    }
    this.take(turn);
    clearInterval(this.timer);
    this.timer = setInterval(() => this.look(), LOOK_EVERY_MS);
  }

  close() {
    clearInterval(this.timer);
  }

  look() {
    const now = performance.now();
    const { sent, heard } = this.levels();
    if (this.turn === "hearing" && sent > SPOKEN) this.spokeAt = now;
    if (this.turn !== "speaking") return;
    if (heard > AUDIBLE) {
      if (!this.answered && this.spokeAt) this.latencyMs = now - this.spokeAt;
      this.answered = true;
      this.overAt = now + REPLY_OVER_MS;
    }
    if (now < this.overAt) return;
    clearInterval(this.timer);
    this.take("listening");
  }

  /** @param {Turn} turn */
  take(turn) {
    if (turn === this.turn) return;
    this.turn = turn;
    this.changed(turn);
  }
}
