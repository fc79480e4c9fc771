// What is known of a host beyond its row: the reason's advice, the last error, its addresses and connections.

import { el, foreign, setContent } from "./dom.js";
import { setTime } from "./clock.js";
import { advice } from "./advice.js";
import { Connections } from "./connections.js";

function time(at, as) {
  const node = el("time");
  setTime(node, at, as);
  return node;
}

/** The details of one host, in a node. */
export class Details {
  #reason = el("section");
  #error = el("section");
  #addresses = el("section");
  #connections = el("section");
  #table;

  constructor(node) {
    const inside = el("div");
    this.#table = new Connections(inside, "Outgoing connections to this host");
    this.#connections.append(el("h3", {}, "Outgoing connections"), inside);
    node.append(el("div", { class: "details" }, this.#reason, this.#error, this.#addresses, this.#connections));
  }

  /** Shows what a row of the Monitor has. */
  show(row) {
    setContent(this.#reason, JSON.stringify([row.reason, row.failingSince]), () => this.#why(row));
    setContent(this.#error, JSON.stringify(row.lastError ?? null), () => (row.lastError ? lastError(row.lastError) : []));
    setContent(this.#addresses, JSON.stringify(row.addresses ?? []), () => (row.addresses?.length ? addresses(row.addresses) : []));
    this.#connections.hidden = !row.connections?.length;
    this.#table.show([row]);
  }

  #why({ reason, failingSince }) {
    if (!reason) return [];
    const since = failingSince && el("p", {}, "Attempts have failed since ", time(failingSince, "moment"), ", for ", time(failingSince, "age"), ".");
    return [el("h3", {}, "Reason ", el("code", {}, reason)), since, advice(reason, "Reason")].filter(Boolean);
  }
}

function lastError({ code, number, stage, peer, at, text }) {
  const named = number !== undefined && !code.includes(String(number));
  return [
    el("h3", {}, "Last error ", el("code", {}, code), named ? ` (${number})` : ""),
    el("p", {}, `At ${stage}`, peer && ` with ${peer}`, ", ", time(at, "moment"), ", ", time(at, "ago"), "."),
    el("blockquote", {}, foreign(text)),
    advice(code),
  ];
}

function addresses(rows) {
  const head = ["Address", "Suspended Till", "Reason", "Code"].map((name) => el("th", { scope: "col" }, name));
  const row = ({ address, suspendedTill, reason, code }) =>
    el("tr", {}, el("th", { scope: "row" }, address), el("td", {}, time(suspendedTill, "moment"), " ", time(suspendedTill, "till")),
      el("td", {}, reason), el("td", {}, el("code", {}, code)));
  return [
    el("h3", {}, "Suspended addresses"),
    el("table", { class: "plain" }, el("caption", { class: "unseen" }, "Suspended addresses of this host"),
      el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows.map(row))),
  ];
}
