// @ts-check
/** Which microphones, cameras and speakers there are. Opens none of them. */

/**
 * @typedef {object} Device
 * @property {string} id for `setMicrophone`, `setCamera` and `setSpeaker`
 * @property {string} label its name; "Microphone 1" and the like before the person allowed any
 */

/** @typedef {{ microphones: Device[], cameras: Device[], speakers: Device[] }} Devices */

/**
 * The devices of this moment; names are told by browsers only once one of them was allowed.
 * @returns {Promise<Devices>} empty lists on a page that may not use devices
 */
export async function listDevices() {
  const found = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  /** @param {MediaDeviceKind} kind @param {string} name */
  const named = (kind, name) =>
    found
      .filter((device) => device.kind === kind && device.deviceId)
      .map(({ deviceId, label }, at) => ({ id: deviceId, label: label || `${name} ${at + 1}` }));
  return {
    microphones: named("audioinput", "Microphone"),
    cameras: named("videoinput", "Camera"),
    speakers: named("audiooutput", "Speaker"),
  };
}
