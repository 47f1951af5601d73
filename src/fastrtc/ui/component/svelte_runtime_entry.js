// @ts-check
/**
 * What Gradio mounts and unmounts a custom component with. The name is Gradio's; there is no Svelte.
 *
 * Gradio unmounts and mounts keyed components with every re-render, which must not end a call: the
 * end waits for a moment, and a mount of the same component in the same place takes it back.
 */

/** @typedef {import("./index.js").Mounted} Mounted */
/** @typedef {import("./index.js").MountProps} MountProps */

/** @type {WeakMap<Element, { id: number, mounted: Mounted, end: number }>} */
const living = new WeakMap();

/**
 * @param {(target: Element, props: MountProps) => Mounted} make the default export of index.js
 * @param {{ target: Element, props: MountProps }} place
 */
export function mount(make, { target, props }) {
  const { id } = props.shared_props;
  const there = living.get(target);
  if (there && there.id === id) {
    clearTimeout(there.end);
    there.mounted.adopt(props);
    return target;
  }
  living.set(target, { id, mounted: make(target, props), end: 0 });
  return target;
}

/** @param {Element} target what `mount` returned */
export function unmount(target) {
  const there = living.get(target);
  if (!there) return;
  there.end = setTimeout(() => {
    living.delete(target);
    there.mounted.destroy();
  });
}
