// @ts-check
/** A component's cell in a table of `gr.Examples`: a call has no value to show there. */

/** @param {Element} target */
export default function make(target) {
  target.textContent = "–";
}
