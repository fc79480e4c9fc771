// The totals of the queue, and how many messages waited since the page was opened, an hour at most.

import { el, setText, svg } from "./dom.js";
import { now, setTime, size, wallMinute } from "./clock.js";

const SPAN = 3_600_000;
/** The chart begins with so much time, so that a fresh page does not stretch a minute over its width. */
const LEAST = 60_000;
/** Two points nearer than this become one. */
const GRAIN = 1000;
const HEIGHT = 172;
const [LEFT, RIGHT, TOP, BOTTOM] = [40, 8, 8, 20];

/** The totals in a definition list. */
export class Totals {
  #values = {};

  constructor(list) {
    for (const [key, name] of [["messages", "Messages"], ["bytes", "Size"], ["oldest", "Oldest"], ["hosts", "Hosts"], ["suspendedHosts", "Suspended"]]) {
      this.#values[key] = key === "oldest" ? el("time") : el("span");
      list.append(el("div", {}, el("dt", {}, name), el("dd", {}, this.#values[key])));
    }
  }

  /** Shows the totals of a snapshot. */
  show(queue) {
    for (const key of ["messages", "hosts", "suspendedHosts"]) setText(this.#values[key], queue[key].toLocaleString("en"));
    setText(this.#values.bytes, size(queue.bytes));
    if (queue.oldest) {
      setTime(this.#values.oldest, queue.oldest, "age");
    } else {
      delete this.#values.oldest.dataset.as;
      this.#values.oldest.removeAttribute("datetime");
      setText(this.#values.oldest, "–");
    }
  }
}

/** Messages over time. */
export class History {
  #node;
  #points = [];

  constructor(node) {
    this.#node = node;
    new ResizeObserver(() => this.draw()).observe(node);
  }

  /** Notes how many messages wait now. */
  note(messages) {
    const at = now();
    const last = this.#points.at(-1);
    if (last && last.messages === messages) return;
    // What lies between the two was over before anybody could have seen it; the first point stays where the page began.
    if (last && this.#points.length > 1 && at - last.at < GRAIN) last.messages = messages;
    else this.#points.push({ at, messages });
    // The last point before the span says how it began.
    while (this.#points.length > 1 && this.#points[1].at < at - SPAN) this.#points.shift();
  }

  /** Draws it up to now. */
  draw() {
    if (this.#points.length === 0) return;
    const end = now();
    const begin = Math.max(end - SPAN, Math.min(this.#points[0].at, end - LEAST));
    const width = Math.max(240, Math.floor(this.#node.clientWidth));
    const most = Math.max(...this.#points.map(({ messages }) => messages));
    const top = ceiling(most);
    const x = (at) => LEFT + ((width - LEFT - RIGHT) * (Math.max(at, begin) - begin)) / (end - begin);
    const y = (messages) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - messages / top);
    const [first, ...others] = this.#points;
    const steps = others.map(({ at, messages }) => `H${x(at).toFixed(1)}V${y(messages).toFixed(1)}`).join("");
    const line = `M${x(first.at).toFixed(1)} ${y(first.messages).toFixed(1)}${steps}H${x(end).toFixed(1)}`;
    const last = this.#points.at(-1);
    const label = `Messages in the queue since ${wallMinute(first.at)}: ${last.messages} now, at most ${most}.`;
    const level = (messages) => [
      svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(messages), y2: y(messages) }),
      svg("text", { class: "tick", x: LEFT - 6, y: y(messages) + 4, "text-anchor": "end" }, short(messages)),
    ];
    const picture = svg("svg", { class: "history", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label },
      level(0), level(top), top % 2 === 0 ? level(top / 2) : [],
      svg("path", { class: "area", d: `${line}V${y(0)}H${x(first.at).toFixed(1)}Z` }),
      svg("path", { class: "line", d: line }),
      svg("text", { class: "tick", x: LEFT, y: HEIGHT - 4 }, wallMinute(begin)),
      svg("text", { class: "tick", x: width - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, "now"));
    this.#node.replaceChildren(picture);
  }
}

/** The least round number that is no less, and at least 4. */
function ceiling(number) {
  if (number <= 4) return 4;
  const unit = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 4, 6, 8, 10].map((times) => times * unit).find((round) => round >= number);
}

/** `800`, `12k`. */
function short(number) {
  if (number < 10_000) return String(number);
  return number < 1_000_000 ? `${number / 1000}k` : `${number / 1_000_000}M`;
}
