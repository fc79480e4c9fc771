// The outgoing connections: what each does, and for how long.

import { el, foreign, keyed, setContent, setText } from "./dom.js";
import { setTime } from "./clock.js";

/** Connections shown at most, those that have been in their stage the longest first. */
const MOST = 50;

const COLUMNS = ["Host", "Peer", "Stage", "In stage", "Octets", "Last reply"];
const LOOKS = { "In stage": "number", Octets: "number", "Last reply": "reply" };

/** Octets that went out, and those that came in. */
function counts({ sent, received }) {
  return `${sent.toLocaleString("en")} out, ${received.toLocaleString("en")} in`;
}

/** A row for one connection. */
function make() {
  const cell = (look) => el("td", { role: "cell", class: look });
  const time = el("time");
  const cells = [el("th", { scope: "row", role: "rowheader" }), ...COLUMNS.slice(1).map((name) => cell(LOOKS[name]))];
  const [host, peer, stage, since, octets, reply] = cells;
  since.append(time);
  // On a phone each cell says what it is.
  cells.forEach((one, place) => (one.dataset.label = COLUMNS[place]));
  const row = el("tr", { role: "row" }, cells);
  row.show = (connection, name) => {
    setContent(host, name, () => foreign(name));
    setText(peer, connection.peer);
    setText(stage, connection.stage);
    setTime(time, connection.since, "stage");
    // The stream leaves them out; what was asked for last stays until it is asked for again.
    if (connection.octets) setText(octets, counts(connection.octets));
    else if (octets.textContent === "") setText(octets, "–");
    const { lastReply } = connection;
    setContent(reply, lastReply ?? "", () => (lastReply ? foreign(lastReply) : "–"));
  };
  return row;
}

/** A table of connections in a node. */
export class Connections {
  #node;
  #kept = new Map();
  #body = el("tbody", { role: "rowgroup" });
  #table;
  #note = el("p", { class: "note" });

  constructor(node, caption) {
    this.#node = node;
    const heads = COLUMNS.map((name) => el("th", { scope: "col", role: "columnheader", class: LOOKS[name] }, name));
    this.#table = el("table", { role: "table", class: "list" }, el("caption", { class: "unseen" }, caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads)), this.#body);
  }

  /** Shows the connections of these rows of the Monitor. */
  show(rows) {
    const all = rows.flatMap(({ host, connections = [] }) => connections.map((connection) => ({ host, connection })));
    all.sort((a, b) => Date.parse(a.connection.since) - Date.parse(b.connection.since));
    // Several to one peer are told apart by their place among them.
    const seen = new Map();
    for (const one of all) {
      const name = JSON.stringify([one.host, one.connection.peer]);
      const place = seen.get(name) ?? 0;
      seen.set(name, place + 1);
      one.key = `${name}${place}`;
    }
    keyed(this.#body, this.#kept, all.slice(0, MOST), ({ key }) => key, make, (row, { connection, host }) => row.show(connection, host));
    setText(this.#note, all.length === 0 ? "None is open." : `${all.length - MOST} more are open.`);
    const wanted = all.length === 0 ? [this.#note] : all.length > MOST ? [this.#table, this.#note] : [this.#table];
    if (wanted.length !== this.#node.children.length || wanted.some((child, place) => this.#node.children[place] !== child)) {
      this.#node.replaceChildren(...wanted);
    }
  }
}
