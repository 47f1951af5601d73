// The client's modules that need no browser, run by node (tests/ui/test_client_modules.py).
// Each test imports the shipped file itself.

import assert from "node:assert/strict";
import test from "node:test";

/** What the audio thread offers, so that the worklet's file can be loaded here. */
const registered = new Map();
Object.assign(globalThis, {
  sampleRate: 48000,
  registerProcessor: (name, processor) => registered.set(name, processor),
  AudioWorkletProcessor: class {
    port = { sent: [], postMessage: (message) => this.port.sent.push(message) };
  },
});

const { goodbye, refusal, inWords, ClientError } = await import("./errors.js");
const { withStereo } = await import("./peer.js");
const { Signalling, parsed } = await import("./signalling.js");
const { compare } = await import("./stats.js");
const { nothingCounted } = await import("./counts.js");
const { part, parted, until } = await import("./link.js");
const { TurnTracker } = await import("./turn.js");
const { Uplink } = await import("./uplink.js");
await import("./worklet.js");

test("refusals and goodbyes are told by code and in words", () => {
  assert.equal(refusal({ error: "concurrency_limit_reached", limit: 3 }).message, "All places are taken (3). Try again later.");
  assert.equal(refusal({ error: "concurrency_limit_reached", limit: 3 }).code, "limit");
  assert.equal(refusal({ error: "connection_closed" }).code, "ended");
  assert.match(refusal({ error: "unsupported_media", reason: "no video here" }).message, /no video here/);
  assert.equal(goodbye("Time limit of 3 s reached").code, "time-limit");
  assert.equal(goodbye("See you").code, "ended");
  assert.equal(goodbye("").message, "The server ended the call.");
  const own = new ClientError("lost", "gone");
  assert.equal(inWords(own), own);
  assert.match(inWords(new Error("boom")).message, /boom/);
});

test("stereo is asked for once, in the opus line alone", () => {
  const offer = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=fmtp:63 111/111\r\n";
  const wanted = withStereo(offer, false);
  assert.match(wanted, /a=fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\n/);
  assert.equal(withStereo(wanted, false), wanted);
  assert.match(withStereo(offer, true), /;stereo=1;sprop-stereo=1\r\n/);
  assert.equal(withStereo("v=0\r\n", true), "v=0\r\n");
});

for (const end of ["\n", "\r\n", "\r"]) {
  for (const size of [1, 2, 3, 1000]) {
    test(`server-sent events with ${JSON.stringify(end)} in pieces of ${size}`, async () => {
      const text = [": hello", "", 'data: {"n": 1}', "", "event: x", "data: plain", "data:  text", "", "id: 7", "", ""].join(end);
      const bytes = new TextEncoder().encode(text);
      let at = 0;
      const body = new ReadableStream({
        pull(controller) {
          if (at >= bytes.length) return controller.close();
          controller.enqueue(bytes.slice(at, (at += size)));
        },
      });
      let asked = "";
      globalThis.fetch = async (url) => ((asked = String(url)), new Response(body));
      const signalling = new Signalling({ url: "", id: "a/b", headers: {}, signal: undefined });
      const got = [];
      for await (const event of signalling.events("/updates?x=1", new AbortController().signal)) got.push(event);
      assert.deepEqual(got, [{ n: 1 }, "plain\n text"]);
      assert.equal(asked, "/updates?x=1&webrtc_id=a%2Fb");
    });
  }
}

test("messages are parsed where they are JSON", () => {
  assert.deepEqual(parsed('{"type": "log"}'), { type: "log" });
  assert.equal(parsed("no JSON"), "no JSON");
});

test("statistics are those of the time between two looks", () => {
  const before = { ...nothingCounted(), atMs: 1000 };
  const now = { ...nothingCounted(), atMs: 3000, bytesSent: 1000, bytesReceived: 8000, roundTripMs: 40 };
  now.audio = { packets: 90, lost: 10, jitterMs: 3, bufferedS: 96_000 * 0.05, bufferedCount: 96_000 };
  now.video = { ...now.video, frames: 60, handlingS: 1.8, width: 640, height: 480 };
  assert.deepEqual(compare(now, before), {
    roundTripMs: 40,
    loss: 0.1,
    lossOfSent: null,
    sentKbps: 4,
    receivedKbps: 32,
    jitterMs: 3,
    jitterBufferMs: 50,
    videoFps: 30,
    videoFrameAgeMs: 50,
    videoWidth: 640,
    videoHeight: 480,
  });
  const first = compare(now, null);
  assert.equal(first.sentKbps, null);
  assert.equal(first.videoFps, null);
  assert.equal(first.loss, 0.1);
  assert.equal(compare(nothingCounted(), null).loss, null);
});

test("the turn follows the server's log and ends with the sound", (context) => {
  let now = 0;
  let tick = () => {};
  context.mock.method(globalThis, "setInterval", (look) => ((tick = look), 1));
  context.mock.method(globalThis, "clearInterval", () => (tick = () => {}));
  context.mock.method(performance, "now", () => now);
  const levels = { sent: 0, heard: 0 };
  const turns = [];
  const tracker = new TurnTracker(() => levels, (turn) => turns.push(turn));
  const pass = (ms) => {
    for (let step = 0; step < ms; step += 50) {
      now += 50;
      tick();
    }
  };
  tracker.follow("started_talking");
  levels.sent = 0.8;
  pass(1000);
  levels.sent = 0.1;
  pass(500);
  tracker.follow("pause_detected");
  tracker.follow("response_starting");
  pass(300);
  levels.heard = 0.7;
  pass(2000);
  assert.equal(tracker.latencyMs, 850);
  assert.equal(tracker.turn, "speaking");
  levels.heard = 0;
  pass(1000);
  assert.deepEqual(turns, ["hearing", "thinking", "speaking", "listening"]);
  tracker.follow("anything else");
  assert.equal(tracker.turn, "listening");
});

/** Feeds a processor's playback, and returns what it plays in blocks of 128 samples. */
function playback() {
  const player = new (registered.get("fastrtc-playback"))();
  const play = (blocks) => {
    const heard = [];
    for (let block = 0; block < blocks; block++) {
      const output = new Float32Array(128);
      player.process([], [[output]]);
      heard.push(...output);
    }
    return heard;
  };
  return { player, play, send: (message) => player.port.onmessage({ data: message }) };
}
const frame = (value) => new Int16Array(960).fill(value);

test("playback waits for its cushion, then loses nothing and reports its marks", () => {
  const { player, play, send } = playback();
  send(frame(8192));
  assert.ok(play(10).every((sample) => sample === 0), "20 ms are no cushion");
  send(frame(8192));
  send({ mark: "one" });
  for (let at = 0; at < 3; at++) send(frame(16384));
  const heard = play(50);
  assert.equal(heard.filter((sample) => sample === 0.25).length, 1920);
  assert.equal(heard.filter((sample) => sample === 0.5).length, 2880);
  assert.notEqual(heard[0], 0, "at once");
  assert.deepEqual(player.port.sent, [{ played: "one" }]);
  send({ mark: "two" });
  assert.deepEqual(player.port.sent.at(-1), { played: "two" }, "nothing is left to be played before it");
  send({ count: true });
  assert.equal(player.port.sent.at(-1).counts.bufferedCount, 4800);
});

test("a sound that is shorter than the cushion is heard, after as long", () => {
  const { play, send } = playback();
  for (let time = 0; time < 2; time++) {
    send(frame(8192));
    send(frame(8192));
    assert.ok(play(37).every((sample) => sample === 0));
    assert.equal(play(20).filter((sample) => sample === 0.25).length, 1920);
    play(100);
  }
});

test("clear drops what is queued and its marks count as passed", () => {
  const { player, play, send } = playback();
  for (let at = 0; at < 10; at++) send(frame(8192));
  send({ mark: "end" });
  play(5);
  send({ clear: true });
  assert.deepEqual(player.port.sent, [{ played: "end" }]);
  assert.ok(play(20).every((sample) => sample === 0));
  for (let at = 0; at < 5; at++) send(frame(4096));
  assert.equal(play(50).filter((sample) => sample === 0.125).length, 4800);
});

test("a stall does not delay the rest of the call by more than three seconds", () => {
  const { play, send } = playback();
  for (let at = 0; at < 500; at++) send(frame(at < 350 ? 4096 : 8192));
  const heard = play(1200);
  assert.equal(heard.filter((sample) => sample !== 0).length, 3 * 48000);
  assert.ok(heard.every((sample) => sample !== 0.125), "the oldest went");
});

test("capture posts frames of 20 ms, mixed down and within range", () => {
  const capture = new (registered.get("fastrtc-capture"))();
  for (let block = 0; block < 15; block++) {
    capture.process([[new Float32Array(128).fill(0.5), new Float32Array(128).fill(0.25)]]);
  }
  assert.equal(capture.port.sent.length, 2);
  assert.equal(capture.port.sent[0].length, 960);
  assert.ok(capture.port.sent[1].every((sample) => sample === 12288));
  for (let block = 0; block < 8; block++) capture.process([[new Float32Array(128).fill(1.5)]]);
  assert.equal(capture.port.sent[2].at(-1), 32767);
  assert.equal(capture.process([[]]), true, "a microphone that is gone is no error");
});

test("a call waits for the goodbyes of the calls before it, taken or not, but not for ever", async () => {
  await parted();
  let taken = 0;
  part(new Promise((resolve) => setTimeout(() => resolve((taken += 1)), 20)));
  part(new Promise((_, reject) => setTimeout(() => reject(new Error((taken += 1))), 30)));
  await parted();
  assert.equal(taken, 2);
  part(new Promise(() => {}));
  const before = performance.now();
  await parted();
  assert.ok(performance.now() - before > 500);
  const later = performance.now();
  await parted();
  assert.ok(performance.now() - later < 500);
});

test("who waits is told when the call is over, and not before", async () => {
  const over = new AbortController();
  const never = new Promise(() => {});
  assert.equal(await until(over.signal, Promise.resolve(7)), 7);
  await assert.rejects(until(over.signal, Promise.reject(new Error("work"))), /work/);
  const waiting = until(over.signal, never);
  let late = () => {};
  const failing = until(over.signal, new Promise((_, reject) => (late = reject)));
  over.abort(new ClientError("ended", "over"));
  await assert.rejects(waiting, { code: "ended", message: "over" });
  await assert.rejects(failing, { code: "ended" });
  late(new Error("nobody looks, and node would say so"));
  await assert.rejects(until(over.signal, never), { code: "ended" });
});

/**
 * An uplink behind a network that carries so many bytes a second, with a frame of sound each 20 ms.
 * `live(seconds, rate)` gives how late in seconds the frames were that arrived, at worst, and how many
 * of all were sent.
 */
function network(uplink) {
  const FRAME = 1920;
  let now = 0;
  let queue = [];
  let busyUntil = 0;
  const carry = (bytes, rate, arrive) => {
    busyUntil = Math.max(busyUntil, now) + (bytes / rate) * 1000;
    queue.push({ at: busyUntil, arrive });
  };
  const ping = (rate) => {
    if (uplink.wantsPing && uplink.ping(now)) carry(20, rate, () => (uplink.answered(now), ping(rate)));
  };
  return function live(seconds, rate, stalled = false) {
    let worst = 0;
    let sent = 0;
    const frames = seconds * 50;
    for (let frame = 0; frame < frames; frame++, now += 20) {
      const due = stalled ? [] : queue.filter(({ at }) => at <= now);
      if (!stalled) queue = queue.filter(({ at }) => at > now);
      for (const { arrive } of due) arrive();
      if (!uplink.takesSound) continue;
      const leftAt = now;
      sent += 1;
      uplink.send(FRAME, false);
      carry(FRAME, rate, () => (worst = Math.max(worst, (now - leftAt) / 1000)));
      ping(rate);
    }
    return { worst, share: sent / frames };
  };
}

test("a narrow uplink makes sound late for a while, and then takes what fits", () => {
  const live = network(new Uplink(false));
  assert.deepEqual(live(10, 1e6), { worst: 0.02, share: 1 });
  for (const rate of [72_000, 48_000, 24_000]) {
    live(20, rate);
    const later = live(30, rate);
    assert.ok(later.worst < 3, `${later.worst} s late at ${rate}`);
    assert.ok(later.share > (0.6 * rate) / 96_000, `${later.share} sent at ${rate}`);
  }
  live(5, 1e6);
  assert.deepEqual(live(10, 1e6), { worst: 0.02, share: 1 });
});

test("a stall of less than two seconds loses almost nothing", () => {
  const live = network(new Uplink(false));
  live(5, 1e6);
  assert.equal(live(1.7, 1e6, true).share, 1);
  const { share } = live(2, 1e6);
  assert.ok(share > 0.9, `${share} sent after it`);
  assert.equal(live(2, 1e6).share, 1);
});

test("few pictures are ahead of what the server has read", () => {
  const uplink = new Uplink(true);
  for (let picture = 0; picture < 3; picture++) {
    assert.ok(uplink.takesPicture);
    uplink.send(20_000, true);
  }
  assert.ok(!uplink.takesPicture);
  assert.ok(uplink.takesSound);
  assert.ok(uplink.wantsPing && uplink.ping(0));
  assert.ok(!uplink.ping(10));
  uplink.answered(40);
  assert.equal(uplink.roundTripMs, 40);
  assert.ok(uplink.takesPicture);
  assert.ok(!uplink.wantsPing);
});

test("where little passes, sound goes first", () => {
  const uplink = new Uplink(true);
  uplink.send(60_000, true);
  uplink.ping(0);
  uplink.answered(3000);
  uplink.send(16_000, false);
  assert.ok(uplink.takesSound);
  assert.ok(!uplink.takesPicture);
});
