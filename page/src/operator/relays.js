// The table of all relays: what each has in its queue, and what hinders it.

import { el, foreign, keyed, setContent, setText, sign } from "./dom.js";
import { setTime } from "./clock.js";

const COLUMNS = ["Relay", "Link", "Ready", "Messages", "Oldest", "Suspended hosts", "Problem"];
const LOOKS = { Link: "state", Messages: "number", Oldest: "number", "Suspended hosts": "number", Problem: "reply problem" };

/** A relay's namespace and name, as one text. */
export const nameOf = ({ namespace, name }) => `${namespace}/${name}`;

/** Those with a Problem first, of them those with the oldest mail; the others by name. */
function worstFirst(a, b) {
  const oldest = ({ problem, queue }) => (problem && queue?.oldest ? Date.parse(queue.oldest) : Infinity);
  const [left, right] = [oldest(a), oldest(b)];
  if (!a.problem !== !b.problem) return a.problem ? -1 : 1;
  return left === right ? nameOf(a).localeCompare(nameOf(b), "en") : left - right;
}

function time(at, as) {
  const node = el("time", { class: as });
  setTime(node, at, as);
  return node;
}

function linkOf({ state, changesAt }) {
  const open = state === "Open";
  const change = changesAt ? [el("span", { class: "note" }, open ? " closes " : " opens ", time(changesAt, "till"))] : [];
  return [sign(open ? "open" : "clock"), el("span", {}, state), ...change];
}

/** A row for one relay. */
function make(relay) {
  const link = el("a", { href: `#${nameOf(relay)}` }, foreign(nameOf(relay)));
  const cells = COLUMNS.slice(1).map((name) => el("td", { role: "cell", class: LOOKS[name] }));
  const row = el("tr", { role: "row" }, el("th", { scope: "row", role: "rowheader" }, link), cells);
  // On a phone each cell says what it is.
  COLUMNS.forEach((name, place) => (row.children[place].dataset.label = name));
  const [state, ready, messages, oldest, suspended, problem] = cells;
  row.show = (of, chosen) => {
    if (chosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    const { queue } = of;
    setContent(state, JSON.stringify(of.link ?? null), () => (of.link ? linkOf(of.link) : "–"));
    setText(ready, of.ready ?? "–");
    setText(messages, queue ? queue.messages.toLocaleString("en") : "–");
    setContent(oldest, queue?.oldest ?? "", () => (queue?.oldest ? time(queue.oldest, "age") : "–"));
    setText(suspended, queue ? `${queue.suspendedHosts.toLocaleString("en")} of ${queue.hosts.toLocaleString("en")}` : "–");
    setContent(problem, of.problem ?? "", () => (of.problem ? foreign(of.problem) : "–"));
  };
  return row;
}

/** The table, in a node. */
export class Relays {
  #node;
  #kept = new Map();
  #body = el("tbody", { role: "rowgroup" });
  #table;
  #note = el("p", { class: "note" }, "There is no SMTPRelay.");

  constructor(node) {
    this.#node = node;
    const heads = COLUMNS.map((name) => el("th", { scope: "col", role: "columnheader", class: LOOKS[name] }, name));
    this.#table = el("table", { role: "table", class: "list" }, el("caption", { class: "unseen" }, "All relays"),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads)), this.#body);
  }

  /** Shows these relays; `chosen` is the name of the one whose hosts are shown. */
  show(relays, chosen) {
    keyed(this.#body, this.#kept, relays.toSorted(worstFirst), nameOf, make, (row, relay) => row.show(relay, nameOf(relay) === chosen));
    const wanted = relays.length === 0 ? this.#note : this.#table;
    if (this.#node.firstChild !== wanted) this.#node.replaceChildren(wanted);
  }
}
