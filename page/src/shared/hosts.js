// The hosts that mail waits for: a table that can be filtered and sorted, and what more there is to say of each.

import { byId, el, foreign, keyed, setContent, setText, sign } from "./dom.js";
import { setTime } from "./clock.js";
import { Details } from "./details.js";

/** Hosts shown at most; a filter finds the others. */
const MOST = 200;
const SIGN_OF = { Suspended: "clock", Held: "held", Sending: "sending", Ready: "ready" };
const COLUMNS = ["State", "Host", "Messages", "Oldest", "Suspended Till", "Problem"];

const by = (value, none) => (a, b) => (value(a) ?? none) - (value(b) ?? none);
const at = (text) => text && Date.parse(text);
/** The orders: the one that they come in has the worst first. */
const ORDERS = {
  worst: { name: "Worst first" },
  host: { name: "Host", column: "Host", compare: (a, b) => a.host.localeCompare(b.host, "en"), direction: "ascending" },
  messages: { name: "Most messages", column: "Messages", compare: by((row) => -row.messages, 0), direction: "descending" },
  oldest: { name: "Oldest mail", column: "Oldest", compare: by((row) => at(row.oldest), Infinity), direction: "ascending" },
  till: { name: "Suspended Till", column: "Suspended Till", compare: by((row) => at(row.suspendedTill), Infinity), direction: "ascending" },
};

/** Whether a row has the text that is looked for. */
function matches(row, wanted, state) {
  if (state !== "any" && row.state !== state) return false;
  const { lastError = {}, addresses = [], connections = [] } = row;
  const texts = [
    row.host, row.state, row.reason, row.problem, lastError.code, lastError.peer, lastError.text,
    ...addresses.flatMap(({ address, code, reason }) => [address, code, reason]),
    ...connections.flatMap(({ peer, lastReply }) => [peer, lastReply]),
  ];
  return wanted === "" || texts.some((text) => text?.toLowerCase().includes(wanted));
}

/** The table of hosts. */
export class Hosts {
  #table = byId("hosts");
  #note = byId("hosts-note");
  #filter = byId("filter");
  #state = byId("state-filter");
  #order = byId("order");
  #kept = new Map();
  #rows = [];
  #notShown = 0;
  #onFilter;
  #saysOthers;

  /** `onFilter` is called when what is looked for has changed; `saysOthers` says of how many shown and others where those are found. */
  constructor(onFilter, saysOthers) {
    this.#onFilter = onFilter;
    this.#saysOthers = saysOthers;
    this.#state.append(...["any", ...Object.keys(SIGN_OF)].map((state) => el("option", { value: state }, state === "any" ? "Any" : state)));
    this.#order.append(...Object.entries(ORDERS).map(([value, { name }]) => el("option", { value }, name)));
    for (const column of COLUMNS) {
      const order = Object.keys(ORDERS).find((name) => ORDERS[name].column === column);
      const head = el("th", { scope: "col", role: "columnheader", class: column === "Messages" || column === "Oldest" ? "number" : undefined });
      if (order) {
        const button = el("button", { type: "button" }, column);
        button.addEventListener("click", () => {
          this.#order.value = this.#order.value === order ? "worst" : order;
          this.#changed();
        });
        head.append(button);
        head.dataset.order = order;
      } else {
        head.append(column);
      }
      byId("host-heads").append(head);
    }
    for (const control of [this.#filter, this.#state, this.#order]) control.addEventListener("input", () => this.#changed());
  }

  /** Whether something is looked for, so that hosts that the stream leaves out may be meant. */
  get filtered() {
    return this.#filter.value.trim() !== "" || this.#state.value !== "any";
  }

  /** Shows these rows of the Monitor, of which so many more are not here. */
  show(rows, notShown) {
    this.#rows = rows;
    this.#notShown = notShown;
    this.#draw();
  }

  #changed() {
    this.#draw();
    this.#onFilter();
  }

  #draw() {
    const wanted = this.#filter.value.trim().toLowerCase();
    const { compare, direction } = ORDERS[this.#order.value];
    const found = this.#rows.filter((row) => matches(row, wanted, this.#state.value));
    if (compare) found.sort(compare);
    for (const head of byId("host-heads").children) {
      if (head.dataset.order === this.#order.value) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    }
    // Before the hosts come the caption and the head.
    keyed(this.#table, this.#kept, found.slice(0, MOST), ({ host }) => host, makeHost, (body, row) => body.show(row), 2);
    this.#table.hidden = found.length === 0;
    setText(this.#note, this.#says(found.length));
    this.#note.hidden = this.#note.textContent === "";
  }

  #says(found) {
    const texts = [];
    if (this.#rows.length + this.#notShown === 0) texts.push("No mail waits.");
    else if (found === 0 && this.#rows.length > 0) texts.push("No host is like that.");
    if (found > MOST) texts.push(`${found - MOST} more hosts are like that.`);
    if (this.#notShown > 0) texts.push(this.#saysOthers(this.#rows.length, this.#notShown));
    return texts.join(" ");
  }
}

let ids = 0;

/** A host: a row, and a second one with its details while it is open. */
function makeHost({ host }) {
  const id = `details-${(ids += 1)}`;
  const button = el("button", { type: "button", class: "host", "aria-expanded": "false", "aria-controls": id }, foreign(host));
  const state = el("td", { role: "cell", class: "state" });
  const messages = el("td", { role: "cell", class: "number" });
  const oldest = el("td", { role: "cell", class: "number" });
  const till = el("td", { role: "cell", class: "till" });
  const problem = el("td", { role: "cell", class: "problem" });
  const row = el("tr", { role: "row" }, state, el("th", { scope: "row", role: "rowheader" }, button), messages, oldest, till, problem);
  COLUMNS.forEach((name, place) => (row.children[place].dataset.label = name));
  const place = el("td", { role: "cell", colspan: COLUMNS.length, id });
  const more = el("tr", { role: "row", class: "more", hidden: "" }, place);
  const body = el("tbody", { role: "rowgroup" }, row, more);
  const details = new Details(place);
  let shown;
  button.addEventListener("click", () => {
    more.hidden = !more.hidden;
    button.setAttribute("aria-expanded", String(!more.hidden));
    if (!more.hidden) details.show(shown);
  });
  body.show = (of) => {
    shown = of;
    row.dataset.state = of.state;
    setContent(state, of.state, () => [sign(SIGN_OF[of.state] ?? "ready"), el("span", {}, of.state)]);
    setText(messages, of.messages.toLocaleString("en"));
    timeIn(oldest, of.oldest, ["age"]);
    timeIn(till, of.suspendedTill, ["moment", "till"]);
    setContent(problem, JSON.stringify([of.reason, of.problem]), () => [
      of.reason ? el("code", { class: "reason" }, of.reason) : [],
      of.problem ? foreign(of.problem, { class: "sentence" }) : [],
    ]);
    if (!more.hidden) details.show(of);
  };
  return body;
}

/** A moment in a cell, written in each of these ways; a dash where there is none. */
function timeIn(cell, moment, ways) {
  cell.classList.toggle("none", !moment);
  setContent(cell, moment ?? "", () => {
    if (!moment) return "–";
    return ways.map((way) => {
      const time = el("time", { class: way });
      setTime(time, moment, way);
      return time;
    });
  });
}
