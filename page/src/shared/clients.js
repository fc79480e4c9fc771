// The clients that hand mail in: how much was taken of each, and what was refused last and why.

import { el, foreign, keyed, setContent, setText } from "./dom.js";
import { setTime } from "./clock.js";

/** Clients shown at most; those refused most recently come first. */
const MOST = 100;

const COLUMNS = ["Client", "Known by", "Taken", "Refused", "Last seen", "Last refusal"];
const LOOKS = { Taken: "number", Refused: "number", "Last seen": "number", "Last refusal": "reply refusal" };
const KINDS = { ServiceAccount: "service account", User: "user", Certificate: "certificate", Address: "address" };

function time(at, as) {
  const node = el("time");
  setTime(node, at, as);
  return node;
}

/** What to do: the catalogue is about what other hosts answer, and this is the relay's own word. */
function toDo({ code, stage }, listed) {
  const number = Number.parseInt(code, 10);
  const isLimit = number === 421 || (number === 451 && (stage === "MailFrom" || stage === "RcptTo"));
  if (isLimit) return "Have it send less at a time, or raise the limits for clients.";
  if (number === 454 && stage === "Auth") return "It failed too often: correct what it shows, and wait.";
  if (number === 535) return "Correct the token or the password that it shows.";
  if (number === 530 && code.endsWith("5.7.0")) return "Have it show a password or a token, or list its network in clients.";
  if (number === 550 && !listed) return "List it in clients, or have it show who it is.";
  if (number === 550) return "Allow the address among the senders of its entry in clients, or have it use another.";
  if (number === 552) return "Have it send smaller messages, or raise limits.messageSize.";
  if (number === 452 && stage === "RcptTo") return "Have it name fewer recipients, or raise limits.recipients.";
  return number < 500 ? "Look at the relay's problems: it cannot take this now." : "Correct the application: the reply says how.";
}

/** What was refused: the code and the reply, who sent what from where, and what to do. */
function refusal({ lastRefusal, listed }) {
  const { at, code, stage, text, why, address, sender, recipient } = lastRefusal;
  const said = [foreign(text), why && [" (", foreign(why), ")"]];
  const envelope = [sender && [" from ", foreign(sender)], recipient && [" to ", foreign(recipient)]];
  return [
    el("span", {}, el("code", { class: "reason" }, code), ` at ${stage}: `, said.flat()),
    el("span", { class: "note" }, time(at, "ago"), ", ", address, envelope.flat()),
    el("span", { class: "note" }, `To do: ${toDo(lastRefusal, listed)}`),
  ];
}

/** A row for one client. */
function make() {
  const cells = [el("th", { scope: "row", role: "rowheader" }), ...COLUMNS.slice(1).map((name) => el("td", { role: "cell", class: LOOKS[name] }))];
  const [client, kind, taken, refused, seen, last] = cells;
  const when = el("time");
  seen.append(when);
  // On a phone each cell says what it is.
  cells.forEach((one, place) => (one.dataset.label = COLUMNS[place]));
  const row = el("tr", { role: "row" }, cells);
  row.show = (of) => {
    setContent(client, of.client, () => foreign(of.client));
    setText(kind, `${KINDS[of.kind] ?? of.kind}${of.listed ? "" : ", not listed"}`);
    setText(taken, of.accepted.toLocaleString("en"));
    setText(refused, of.refused.toLocaleString("en"));
    setTime(when, of.lastSeen, "ago");
    setContent(last, JSON.stringify([of.lastRefusal, of.listed]), () => (of.lastRefusal ? refusal(of) : "–"));
  };
  return row;
}

/** The table of clients, in a node. */
export class Clients {
  #node;
  #kept = new Map();
  #body = el("tbody", { role: "rowgroup" });
  #table;
  #note = el("p", { class: "note" });

  constructor(node) {
    this.#node = node;
    const heads = COLUMNS.map((name) => el("th", { scope: "col", role: "columnheader", class: LOOKS[name] }, name));
    this.#table = el("table", { role: "table", class: "list" }, el("caption", { class: "unseen" }, "Clients that hand mail in"),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads)), this.#body);
  }

  /** Shows these rows of the Monitor, of which so many more are not here. A relay of before has none. */
  show(rows = [], notShown = 0) {
    keyed(this.#body, this.#kept, rows.slice(0, MOST), ({ kind, client }) => `${kind} ${client}`, make, (row, client) => row.show(client));
    const others = Math.max(0, rows.length - MOST) + notShown;
    setText(this.#note, rows.length === 0 ? "None has come." : others > 0 ? `${others.toLocaleString("en")} more have come: /monitor of each pod has all.` : "");
    const wanted = [rows.length > 0 && this.#table, this.#note.textContent && this.#note].filter(Boolean);
    if (wanted.length !== this.#node.children.length || wanted.some((child, place) => this.#node.children[place] !== child)) {
      this.#node.replaceChildren(...wanted);
    }
  }
}
