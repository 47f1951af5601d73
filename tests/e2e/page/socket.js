/**
 * A page that speaks over /websocket/offer: says samples in real time, returns what it heard.
 * Evaluated as one function; knows nothing of this library's own browser client.
 *
 * @param {{ start: object, rateHz: number, said: number[], text: string }} options
 * @returns {Promise<{ heard: number[], texts: string[], events: string[] }>}
 */
async ({ start, rateHz, said, text }) => {
  const isBinary = "format" in start;
  const frame = rateHz / 50;
  /** @type {number[]} */
  const heard = [];
  /** @type {string[]} */
  const texts = [];
  /** @type {string[]} */
  const events = [];

  /** @param {number} sample */
  const encode = (sample) => {
    const sign = sample < 0 ? 0x80 : 0;
    const level = Math.min(Math.abs(sample), 32635) + 132;
    const exponent = 31 - Math.clz32(level) - 7;
    return ~(sign | (exponent << 4) | ((level >> (exponent + 3)) & 15)) & 255;
  };
  /** @param {number} byte */
  const decode = (byte) => {
    const code = ~byte & 255;
    const level = ((((code & 15) << 3) + 132) << ((code >> 4) & 7)) - 132;
    return code & 0x80 ? -level : level;
  };
  /** @param {number[]} samples */
  const media = (samples) => {
    if (isBinary) return new Int16Array(samples).buffer;
    const payload = btoa(String.fromCharCode(...samples.map(encode)));
    return JSON.stringify({ event: "media", media: { payload } });
  };

  const socket = new WebSocket(`${location.origin.replace("http", "ws")}/websocket/offer`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) {
      heard.push(...new Int16Array(data));
      return;
    }
    const message = data.startsWith("{") ? JSON.parse(data) : {};
    if (message.event === "media") {
      heard.push(...Array.from(atob(message.media.payload), (c) => decode(c.charCodeAt(0))));
    } else if (message.event) {
      events.push(message.event);
      if (message.event === "ping") socket.send(JSON.stringify({ event: "pong" }));
    } else {
      texts.push(data);
    }
  };
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error("the WebSocket was refused"));
  });
  socket.send(JSON.stringify({ event: "start", websocket_id: "page", ...start }));
  socket.send(text);
  socket.send(JSON.stringify({ event: "ping" }));

  const began = performance.now();
  for (let sent = 0; sent < said.length; ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    const due = ((performance.now() - began) / 1000) * rateHz;
    for (; sent < Math.min(due, said.length); sent += frame) {
      socket.send(media(said.slice(sent, sent + frame)));
    }
  }
  for (let before = -1; before < heard.length; ) {
    before = heard.length;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  const closed = new Promise((resolve) => (socket.onclose = resolve));
  socket.send(JSON.stringify({ event: "stop" }));
  await closed;
  return { heard, texts, events };
};
