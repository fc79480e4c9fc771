// The Monitor page: what the relay's stream says, drawn anew whenever it says something else.

import { byId, el, foreign, setContent, setText, sign } from "./dom.js";
import { age, counted, now, setBy, setTime, setZone, tick, wall, zoneName } from "./clock.js";
import { advice } from "./advice.js";
import { Clients } from "./clients.js";
import { Connections } from "./connections.js";
import { Hosts } from "./hosts.js";
import { History, Totals } from "./queue.js";
import { Week } from "./schedule.js";
import { follow } from "./stream.js";

/** How often the schedule, and by it the relay's clock, is asked for though the link has not changed. */
const TIMETABLE_AGE = 60_000;
/** How often all hosts are asked for while a filter may mean some that the stream leaves out. */
const WHOLE_AGE = 5000;
/** How often it is asked what has gone over connections, while there are some. */
const OCTETS_AGE = 2000;

const week = new Week(byId("schedule"));
const totals = new Totals(byId("totals"));
const history = new History(byId("queue-chart"));
const connections = new Connections(byId("connections"), "Outgoing connections");
const clients = new Clients(byId("clients"));
const hosts = new Hosts(
  () => searchAll(),
  (shown, others) => `The worst ${shown} are here; the filter looks through the ${others} others, too.`,
);

/** The last snapshot, and the version that this page is of. */
let snapshot;
let version;
/** Set while the stream is broken: why, since when, and when it is tried again, by this machine's clock. */
let lost;
let timetable;
let frame;

follow({
  async opened() {
    await askTimetable();
    if (lost) say("The page is live again.");
    lost = undefined;
    showLive();
  },
  snapshot(next) {
    const linkChanged = JSON.stringify(next.link) !== JSON.stringify(snapshot?.link);
    const first = snapshot === undefined;
    if (first) version = next.version;
    else if (linkChanged) askTimetable().catch(() => {});
    announce(next, snapshot);
    snapshot = next;
    history.note(next.queue.messages);
    drawSoon();
  },
  lost(why, wait) {
    if (!lost) say("The page is not live any more.");
    lost = { why, since: lost?.since ?? Date.now(), again: Date.now() + wait };
    showLive();
  },
});

setInterval(() => {
  tick();
  showLive();
  week.draw();
  history.draw();
  setText(byId("zone-clock"), timetable ? `${wall(now())} ${zoneName()}` : "");
}, 1000);
setInterval(() => lost || askTimetable().catch(() => {}), TIMETABLE_AGE);
setInterval(() => lost || searchAll(), WHOLE_AGE);
setInterval(() => lost || document.hidden || askOctets().catch(() => {}), OCTETS_AGE);

async function askTimetable() {
  const asked = Date.now();
  const response = await fetch("schedule", { cache: "no-store" });
  if (!response.ok) throw new Error(`the relay answers ${response.status}`);
  timetable = await response.json();
  setBy(timetable.now, asked, Date.now());
  setZone(timetable.timeZone ?? "UTC");
  week.show(timetable);
  setText(byId("link-said"), timetable.said);
}

/** Asks what has gone over the connections that the stream told of: it changes all the time, so the stream does not say it. */
async function askOctets() {
  if (!snapshot?.monitor.some((row) => row.connections?.length)) return;
  const response = await fetch("monitor", { cache: "no-store" });
  if (!response.ok) return;
  const { monitor } = await response.json();
  const open = new Map(monitor.map((row) => [row.host, row.connections]));
  for (const row of snapshot.monitor) row.connections = open.get(row.host);
  drawSoon();
}

/** Looks through all hosts, where the stream has but the worst of them and somebody looks for others. */
async function searchAll() {
  if (!snapshot?.hostsNotShown || !hosts.filtered) {
    showHosts(snapshot);
    return;
  }
  const response = await fetch("monitor", { cache: "no-store" }).catch(() => undefined);
  if (response?.ok && hosts.filtered) showHosts(await response.json());
}

function showHosts(of) {
  if (of) hosts.show(of.monitor, of.hostsNotShown);
}

/** Draws what was said last, once, when the page is seen. */
function drawSoon() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(draw);
}

function draw() {
  const { relay, logLevel, link, queue, problems = [], monitor } = snapshot;
  byId("main").hidden = false;
  document.title = `${queue.messages ? `(${queue.messages}) ` : ""}${relay} – SMTP Monitor`;
  setText(byId("relay"), relay);
  setText(byId("version"), `Version ${snapshot.version}`);
  setText(byId("log-level"), `Log ${logLevel}`);
  showLink(link);
  showProblems(problems);
  totals.show(queue);
  history.draw();
  if (!(snapshot.hostsNotShown && hosts.filtered)) showHosts(snapshot);
  connections.show(monitor);
  clients.show(snapshot.clients, snapshot.clientsNotShown);
  showLive();
}

function showLink({ state, changesAt }) {
  const open = state === "Open";
  byId("link").dataset.state = state;
  setContent(byId("link-sign"), state, () => sign(open ? "open" : "clock"));
  setText(byId("link-state"), open ? "TCP/IP link is open" : "TCP/IP link is down");
  setContent(byId("link-change"), JSON.stringify([state, changesAt]), () => {
    if (!changesAt) return [];
    const [till, moment] = [el("time", { class: "till" }), el("time")];
    setTime(till, changesAt, "till");
    setTime(moment, changesAt, "moment");
    return [el("span", {}, open ? "Closes " : "Opens ", moment), till];
  });
}

function showProblems(problems) {
  byId("problems").hidden = problems.length === 0;
  setContent(byId("problem-list"), JSON.stringify(problems), () =>
    problems.map(({ reason, message, since }) => {
      const time = el("time");
      setTime(time, since, "moment");
      const [name, when] = [el("code", { class: "reason" }, reason), el("span", { class: "note" }, "since ", time)];
      return el("li", {}, el("p", {}, name, " ", foreign(message), " ", when), advice(reason, "RelayProblem"));
    }));
}

function showLive() {
  const stale = byId("stale");
  document.body.classList.toggle("stale", Boolean(lost && snapshot));
  byId("live").dataset.live = lost || !snapshot ? "no" : "yes";
  setText(byId("live-text"), lost ? "Not live" : snapshot ? "Live" : "Connecting");
  if (lost) {
    const wait = Math.max(0, lost.again - Date.now());
    const next = wait > 0 ? `next attempt in ${counted(wait)}` : "trying again";
    const shown = snapshot ? ` What is shown is ${age(Date.now() - lost.since)} old at least.` : "";
    setText(stale, `Not live: ${lost.why}; ${next}.${shown}`);
  } else if (snapshot && snapshot.version !== version) {
    setText(stale, `The relay is of version ${snapshot.version} now, and this page of ${version}: load it again.`);
  } else {
    setText(stale, "");
  }
  stale.hidden = stale.textContent === "";
}

/** Tells a screen reader what is worth an interruption: the link, the problems, the stream; not each count. */
function announce(next, before) {
  if (!before) return;
  if (next.link.state !== before.link.state) say(next.link.state === "Open" ? "The TCP/IP link is open." : "The TCP/IP link is down.");
  const reasons = (of) => (of.problems ?? []).map(({ reason }) => reason);
  const fresh = reasons(next).filter((reason) => !reasons(before).includes(reason));
  if (fresh.length > 0) say(`New problem: ${fresh.join(", ")}.`);
}

function say(text) {
  setText(byId("say"), text);
}
