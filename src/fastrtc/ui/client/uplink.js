// @ts-check
/**
 * How much may be on its way to the server. A browser and a system take seconds of sound and keep
 * them, so what a slow network delays is seen here alone: the server answers a ping when it has read
 * what came before. Pure: counts and times; `socket.js` sends.
 */

/** One second of the sound that is sent: 16 bits, at 48 kHz as a rule. */
const SECOND = 2 * 48000;
/** What is on its way may be so much, as long as it arrives in time: a stall shall lose nothing. */
const MOST = { sound: 2 * SECOND, pictures: 5 * SECOND };
/** So much may always be. */
const LEAST = SECOND / 4;
/** With so much unanswered the next ping goes. */
const PING_AFTER = SECOND / 5;
/** A ping that took longer says that the network is too slow, and how fast it is. */
const LATE_MS = 1500;
/** How fast the room grows again, with each ping that took less. */
const GROWTH = 1.5;
/** How many pictures may be on their way; more would only be older when they arrive. */
const AHEAD = 3;

/** @typedef {{ bytes: number, pictures: number }} Amount */

export class Uplink {
  /** @param {boolean} hasPictures */
  constructor(hasPictures) {
    this.most = MOST[hasPictures ? "pictures" : "sound"];
    /** Bytes that may be on their way. */
    this.room = this.most;
    /** @type {Amount} */
    this.sent = { bytes: 0, pictures: 0 };
    /** What the server has read for certain. @type {Amount} */
    this.arrived = { bytes: 0, pictures: 0 };
    /** The ping that is not answered, and what was sent before it. @type {{ atMs: number, sent: Amount } | null} */
    this.pinged = null;
    /** @type {number | null} */
    this.roundTripMs = null;
  }

  /** Whether sound may leave now; it would be late otherwise, and what comes after it too. */
  get takesSound() {
    return this.unanswered < this.room;
  }

  /** Whether a picture may leave now: half of the room is kept for sound, which is small and misses more. */
  get takesPicture() {
    return this.unanswered < this.room / 2 && this.sent.pictures - this.arrived.pictures < AHEAD;
  }

  /** Whether it is time to ask what has arrived. */
  get wantsPing() {
    return this.unanswered >= PING_AFTER || this.sent.pictures > this.arrived.pictures;
  }

  get unanswered() {
    return this.sent.bytes - this.arrived.bytes;
  }

  /** Something leaves. @param {number} bytes @param {boolean} isPicture */
  send(bytes, isPicture) {
    this.sent.bytes += bytes;
    if (isPicture) this.sent.pictures += 1;
  }

  /** False while another ping is not answered. @param {number} nowMs */
  ping(nowMs) {
    if (this.pinged) return false;
    this.pinged = { atMs: nowMs, sent: { ...this.sent } };
    return true;
  }

  /** The answer to the ping is here. @param {number} nowMs */
  answered(nowMs) {
    if (!this.pinged) return;
    const { atMs, sent } = this.pinged;
    this.pinged = null;
    const tookMs = nowMs - atMs;
    const passed = sent.bytes - this.arrived.bytes;
    this.roundTripMs = tookMs;
    this.arrived = sent;
    // So much passes in the time that nobody calls late.
    const room = tookMs > LATE_MS ? (passed * LATE_MS) / tookMs : this.room * GROWTH;
    this.room = Math.min(this.most, Math.max(LEAST, room));
  }
}
