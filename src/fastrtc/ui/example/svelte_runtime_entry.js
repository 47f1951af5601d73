// @ts-check
/** What Gradio mounts the cell with; see `../component/svelte_runtime_entry.js`. */

/** @param {(target: Element) => void} make @param {{ target: Element }} place */
export function mount(make, { target }) {
  make(target);
  return target;
}

/** @param {Element} target */
export function unmount(target) {
  target.replaceChildren();
}
