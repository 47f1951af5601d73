// @ts-check
/**
 * The browser client of fastrtc: what pages import. `Stream.mount` serves it at
 * `{path}/client/fastrtc.js`.
 *
 * ```js
 * import { Client } from "/client/fastrtc.js";
 * const client = new Client({ audio: true });
 * client.addEventListener("state", () => console.log(client.state));
 * button.onclick = () => client.connect(); // from a click: browsers play sound only then
 * ```
 *
 * Plain ES modules without a build: each file beside this one is one subject, and none of them
 * draws anything. `client.js` is the whole interface.
 */

export { Client } from "./client.js";
export { listDevices } from "./devices.js";
export { ClientError } from "./errors.js";
