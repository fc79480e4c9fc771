// Elements made by script. What a host or a client wrote becomes a text node or an attribute's value, and never markup.

const SVG = "http://www.w3.org/2000/svg";

/** The element of the page with this id. */
export const byId = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== ""));
  return node;
}

/** An HTML element; strings among the children become text. */
export const el = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);

/** An SVG element. */
export const svg = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

/** Text that somebody else wrote: on its own, so that it cannot turn the direction of what stands beside it. */
export const foreign = (text, attributes = {}) => el("bdi", attributes, text);

/** Sets the text of a node where it is another, so that a selection and a screen reader are left in peace. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Puts what is new in the place of what a node holds, where `mark` says that it is new. */
export function setContent(node, mark, make) {
  if (node.mark === mark) return;
  node.mark = mark;
  node.replaceChildren(...[make()].flat());
}

/**
 * Makes the children of `parent` those of `items`, in their order: each keeps its node for as long as its key is there.
 * `kept` maps keys to nodes from call to call; nodes before `first` are not touched.
 */
export function keyed(parent, kept, items, key, make, update, first = 0) {
  // First those that are gone: so the others stay where they are, and with them the focus.
  const wanted = new Set(items.map(key));
  for (const [name, node] of kept) {
    if (wanted.has(name)) continue;
    node.remove();
    kept.delete(name);
  }
  items.forEach((item, index) => {
    const name = key(item);
    if (!kept.has(name)) kept.set(name, make(item));
    const node = kept.get(name);
    update(node, item);
    const place = parent.children[first + index];
    if (place !== node) parent.insertBefore(node, place ?? null);
  });
}

/** The signs, as paths in a square of 16. */
const SIGNS = {
  clock: ["M8 1.6a6.4 6.4 0 1 1 0 12.8A6.4 6.4 0 0 1 8 1.6Z", "M8 4.4V8l2.5 1.7"],
  held: ["M8 1.6a6.4 6.4 0 1 1 0 12.8A6.4 6.4 0 0 1 8 1.6Z", "M6.2 5.6v4.8M9.8 5.6v4.8"],
  sending: ["M8 1.6a6.4 6.4 0 1 1 0 12.8A6.4 6.4 0 0 1 8 1.6Z", "M5 8h6M8.4 5.4 11 8l-2.6 2.6"],
  ready: ["M8 1.6a6.4 6.4 0 1 1 0 12.8A6.4 6.4 0 0 1 8 1.6Z"],
  open: ["M8 1.6a6.4 6.4 0 1 1 0 12.8A6.4 6.4 0 0 1 8 1.6Z", "m5.2 8.2 2 2 3.6-4.2"],
};

/** A sign; the words beside it say the same. */
export function sign(name) {
  const paths = SIGNS[name].map((d) => svg("path", { d }));
  return svg("svg", { class: `sign-${name}`, viewBox: "0 0 16 16", "aria-hidden": "true" }, paths);
}
