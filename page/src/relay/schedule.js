// The TCP Schedule of seven days, as a picture with the present moment in it, and as a table.

import { el, setContent, svg } from "./dom.js";
import { now } from "./clock.js";

const DAY = 1440;
const ROW = 24;
const BAR = 14;
const HEAD = 22;
/** Below this width of the picture every sixth hour has its number, above it every third. */
const WIDE = 420;

const clock = (minute) => `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;

/** What a stretch says, in words. */
function words({ link, pause }) {
  if (link === "Closed") return "closed";
  return pause ? `open, a session every ${pause}` : "open";
}

/** `25 Nov`. */
function dayAndMonth(date) {
  const [, month, day] = date.split("-").map(Number);
  return `${day} ${["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month - 1]}`;
}

/** The day and the minute that the wall's clock shows now; nothing where the week does not have it any more. */
function present(week) {
  const at = now();
  for (const day of week) {
    for (const { from, begins, ends } of day.stretches) {
      const minute = begins + (at - Date.parse(from)) / 60_000;
      if (minute >= begins && minute < ends) return { day, minute };
    }
  }
  return undefined;
}

/** A picture of the schedule in a node, as wide as that is. */
export class Week {
  #node;
  #shown;
  #head = el("p", { class: "note" });
  #picture = el("div");
  #legend = el("div");
  #table = el("div");

  constructor(node) {
    this.#node = node;
    new ResizeObserver(() => this.draw()).observe(node);
  }

  /** Shows what the relay says of its schedule. */
  show(timetable) {
    this.#shown = timetable;
    this.draw();
  }

  /** Draws it again: the present has moved. */
  draw() {
    if (!this.#shown) return;
    const { schedule, week, timeZone } = this.#shown;
    if (week.length === 0) {
      const text = schedule
        ? `TCP Schedule ${schedule} does not exist.`
        : "This relay has no TCP Schedule: connections may always be opened.";
      setContent(this.#node, text, () => el("p", { class: "note" }, text));
      return;
    }
    // What changes with the week alone stays as it is while the present moves on.
    setContent(this.#node, "week", () => [this.#head, this.#picture, this.#legend, el("details", {}, el("summary", {}, "As a table"), this.#table)]);
    const mark = JSON.stringify([schedule, timeZone, week]);
    setContent(this.#head, mark, () => [el("b", {}, schedule), ` · the seven days from today, in ${timeZone}`]);
    setContent(this.#legend, mark, () => legend(week));
    setContent(this.#table, mark, () => asTable(week));
    const at = present(week);
    const width = Math.max(260, Math.floor(this.#node.clientWidth));
    setContent(this.#picture, JSON.stringify([mark, width, at && Math.floor(at.minute), at?.day.date]), () => picture(week, at, width));
  }
}

function picture(week, at, width) {
  const labels = width < WIDE ? 82 : 96;
  const x = (minute) => labels + ((width - labels - 10) * minute) / DAY;
  const height = HEAD + ROW * week.length + 4;
  const parts = [hatching()];
  const step = width < WIDE ? 6 : 3;
  for (let hour = 0; hour <= 24; hour += step) {
    parts.push(
      svg("line", { class: hour % 6 ? "grid minor" : "grid", x1: x(hour * 60), x2: x(hour * 60), y1: HEAD - 4, y2: height - 4 }),
      svg("text", { class: "tick", x: x(hour * 60), y: HEAD - 9, "text-anchor": "middle" }, String(hour)),
    );
  }
  week.forEach((day, index) => {
    const top = HEAD + ROW * index;
    const today = day === at?.day;
    const label = `${day.day} ${dayAndMonth(day.date)}`;
    parts.push(svg("text", { class: today ? "day today" : "day", x: 0, y: top + ROW / 2 + 4 }, label));
    for (const stretch of day.stretches) {
      const look = stretch.link === "Closed" ? "closed" : stretch.pause ? "paused" : "open";
      const gone = today && stretch.ends <= at.minute ? " gone" : "";
      parts.push(
        svg(
          "rect",
          {
            class: `stretch ${look}${gone}`, x: x(stretch.begins), y: top + (ROW - BAR) / 2,
            width: Math.max(1, x(stretch.ends) - x(stretch.begins)), height: BAR, rx: look === "closed" ? 0 : 2,
          },
          svg("title", {}, `${label} ${clock(stretch.begins)}–${clock(stretch.ends)}: ${words(stretch)} by ${stretch.rule}`),
        ),
      );
    }
  });
  if (at) {
    const top = HEAD + ROW * week.indexOf(at.day);
    const where = x(at.minute);
    parts.push(
      svg("line", { class: "present", x1: where, x2: where, y1: top, y2: top + ROW }),
      svg("circle", { class: "present", cx: where, cy: top, r: 3.5 }),
    );
  }
  const title = at ? `The TCP Schedule of seven days; now it is ${at.day.day} ${clock(Math.floor(at.minute))}.` : "The TCP Schedule of seven days.";
  return svg("svg", { class: "week", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title }, parts);
}

function hatching() {
  const lines = svg("path", { d: "M-1 7 7 -1M3 9 9 3M-3 3 3 -3", class: "hatch" });
  return svg("defs", {}, svg("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse" },
    svg("rect", { class: "hatch-ground", width: 6, height: 6 }), lines));
}

function legend(week) {
  const all = week.flatMap((day) => day.stretches);
  const pauses = [...new Set(all.filter(({ pause }) => pause).map(({ pause }) => pause))];
  const items = [
    all.some(({ link, pause }) => link === "Open" && !pause) && ["open", "Open"],
    pauses.length > 0 && ["paused", `Open, a session every ${pauses.join(" or ")}`],
    all.some(({ link }) => link === "Closed") && ["closed", "Closed"],
    ["present", "Now"],
  ];
  return el("ul", { class: "legend", "aria-hidden": "true" },
    items.filter(Boolean).map(([look, text]) => el("li", {}, el("i", { class: look }), text)));
}

function asTable(week) {
  const row = (day) => el("tr", {}, el("th", { scope: "row" }, `${day.day} ${day.date}`),
    el("td", {}, day.stretches.map((stretch) => el("div", {}, `${clock(stretch.begins)}–${clock(stretch.ends)} ${words(stretch)}, by ${stretch.rule}`))));
  return el("table", { class: "plain" }, el("caption", { class: "unseen" }, "The TCP Schedule of seven days"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Day"), el("th", { scope: "col" }, "Link"))),
    el("tbody", {}, week.map(row)));
}
