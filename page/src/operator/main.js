// The operator's page: every relay that it watches, and the worst hosts of the one that is chosen, asked for again and again.

import { byId, setText } from "./dom.js";
import { Clients } from "./clients.js";
import { age, now, setBy, setZone, tick, wall, zoneName } from "./clock.js";
import { Hosts } from "./hosts.js";
import { nameOf, Relays } from "./relays.js";

/** How often the operator is asked. */
const PERIOD = 2000;
/** Without an answer for so long, it is taken to be gone. */
const PATIENCE = 10_000;

const relays = new Relays(byId("relays"));
const hosts = new Hosts(
  () => {},
  (shown, others) => (shown === 0 ? "Its hosts are not shown." : `The worst ${shown} are here; each pod's own page has the ${others} others, too.`),
);
const clients = new Clients(byId("clients"));

/** What was answered last, and the relay whose hosts are shown. */
let answer;
let shown;
/** Set while there is no answer: why, and since when by this machine's clock. */
let lost;
/** Counts the looks: an answer that another has overtaken is let go. */
let looks = 0;
let timer;

addEventListener("hashchange", () => look(true));
document.addEventListener("visibilitychange", () => document.hidden || look());
setInterval(() => {
  tick();
  showLive();
}, 1000);
look();

/** Whether the relay is chosen: the address says so, so that it can be kept and sent. Names have nothing that an address escapes. */
const isChosen = (relay) => location.hash === `#${nameOf(relay)}`;

async function ask(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) }).catch((error) => {
    throw new Error("the operator cannot be reached", { cause: error });
  });
  // A relay may go between two questions.
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error((await response.text()).trim() || `the operator answers ${response.status}`);
  return response.json();
}

/** Asks and draws; `go` takes the reader to the hosts, too. */
async function look(go = false) {
  clearTimeout(timer);
  const turn = (looks += 1);
  try {
    const asked = Date.now();
    const all = await ask("relays");
    const answered = Date.now();
    const one = all.relays.find(isChosen);
    const relay = one && (await ask(`relays/${one.namespace}/${one.name}`));
    if (turn !== looks) return;
    setBy(all.now, asked, answered);
    if (lost) say("The page is live again.");
    lost = undefined;
    announce(all, answer);
    answer = all;
    draw(relay);
    if (go && relay) byId("chosen-title").focus();
  } catch (error) {
    if (turn !== looks) return;
    if (!lost) say("The page is not live any more.");
    lost = { why: error.message, since: lost?.since ?? Date.now() };
  }
  showLive();
  timer = setTimeout(look, document.hidden ? PERIOD * 5 : PERIOD);
}

function draw(relay) {
  const { leads, leader, version } = answer;
  setText(byId("version"), `Version ${version}`);
  setText(byId("standby"), leads ? "" : standingBy(leader));
  byId("standby").hidden = leads;
  byId("main").hidden = !leads;
  const messages = answer.relays.reduce((sum, { queue }) => sum + (queue?.messages ?? 0), 0);
  document.title = `${messages ? `(${messages}) ` : ""}All relays – SMTP Monitor`;
  setZone(relay?.timeZone ?? "UTC");
  relays.show(answer.relays, relay && nameOf(relay));
  byId("chosen").hidden = !relay;
  const name = relay && nameOf(relay);
  // One relay's hosts are not another's, though they have one name.
  if (name !== shown) hosts.show([], 0);
  shown = name;
  if (!relay) return;
  setText(byId("chosen-name"), name);
  hosts.show(relay.monitor, relay.hostsNotShown);
  clients.show(relay.clients, relay.clientsNotShown);
  if (!relay.queue) {
    setText(byId("hosts-note"), "What waits in this relay is not known: no pod of it has told.");
    byId("hosts-note").hidden = false;
  }
}

function standingBy(leader) {
  return leader
    ? `This operator stands by. ${leader} leads and has the relays: kubectl port-forward ${leader} 8080, in the operator's namespace.`
    : "This operator stands by, and does not know yet who leads.";
}

function showLive() {
  document.body.classList.toggle("stale", Boolean(lost && answer));
  byId("live").dataset.live = lost || !answer ? "no" : "yes";
  setText(byId("live-text"), lost ? "Not live" : answer ? "Live" : "Connecting");
  setText(byId("zone-clock"), answer ? `${wall(now())} ${zoneName()}` : "");
  const old = lost && answer ? ` What is shown is ${age(Date.now() - lost.since)} old at least.` : "";
  setText(byId("stale"), lost ? `Not live: ${lost.why}.${old}` : "");
  byId("stale").hidden = !lost;
}

/** Tells a screen reader what is worth an interruption: a relay with a Problem that had none. */
function announce(next, before) {
  if (!before) return;
  const troubled = (of) => of.relays.filter(({ problem }) => problem).map(nameOf);
  const known = new Set(troubled(before));
  const fresh = troubled(next).filter((name) => !known.has(name));
  if (fresh.length > 0) say(`New problem: ${fresh.join(", ")}.`);
}

function say(text) {
  setText(byId("say"), text);
}
