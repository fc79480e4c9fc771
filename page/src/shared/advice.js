// What the catalogue says of reasons and codes: asked for when somebody looks, and once each.

import { el } from "./dom.js";

const known = new Map();

function explanations(name) {
  if (!known.has(name)) {
    const asked = fetch(`explain/${encodeURIComponent(name)}`).then((response) => {
      if (response.status === 404) return [];
      if (!response.ok) throw new Error(`${response.status}`);
      return response.json();
    });
    // It is asked for again by whoever looks next.
    asked.catch(() => known.delete(name));
    known.set(name, asked);
  }
  return known.get(name);
}

/** What is said of a reason or a code, in a node that is filled when the server has answered. `kind` tells reasons of one name apart. */
export function advice(name, kind) {
  const node = el("dl", { class: "advice" });
  explanations(name).then(
    (all) => {
      const found = all.find((one) => one.kind === kind) ?? all[0];
      if (!found) return;
      for (const [label, text] of [["Means", found.meaning], ["Cause", found.cause], ["Retry", found.retry], ["To do", found.advice]]) {
        if (text) node.append(el("div", {}, el("dt", {}, label), el("dd", {}, text)));
      }
    },
    () => node.append(el("div", {}, el("dt", {}, "To do"), el("dd", {}, `Ask mailsluice-relay explain '${name}'.`))),
  );
  return node;
}
