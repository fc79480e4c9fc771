// The server's clock, and how moments and lengths of time are written. Moments are shown in the TCP Schedule's zone, as the
// sentences of the Monitor are.

let ahead = 0;
let zone = "UTC";

/** Sets the clock by the moment that the server gave between two moments of this machine, in milliseconds. */
export function setBy(serverNow, asked, answered) {
  ahead = Date.parse(serverNow) - (asked + answered) / 2;
}

/** What the server's clock shows, in milliseconds since 1970. */
export const now = () => Date.now() + ahead;

/** Moments are shown in this zone from here on; in UTC, where the browser does not know it. */
export function setZone(name) {
  try {
    new Intl.DateTimeFormat("en-GB", { timeZone: name });
    zone = name;
  } catch {
    zone = "UTC";
  }
}

/** The zone in which moments are shown. */
export const zoneName = () => zone;

function parts(at) {
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone, weekday: "short", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
    second: "2-digit", hourCycle: "h23",
  });
  return Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
}

/** `Wed 04:05`, with the seconds where there are any, and with the date where the weekday could mean a nearer day. */
export function moment(text) {
  // Up, so that nothing is shown as earlier than it is.
  const at = Math.ceil(Date.parse(text) / 1000) * 1000;
  if (Number.isNaN(at)) return text;
  const { weekday, year, month, day, hour, minute, second } = parts(at);
  const far = Math.abs(at - now()) > 6 * 86_400_000;
  const date = far ? ` ${year}-${month}-${day}` : "";
  return `${weekday}${date} ${hour}:${minute}${second === "00" ? "" : `:${second}`}`;
}

/** `04:05:06`. */
export function wall(at) {
  const { hour, minute, second } = parts(at);
  return `${hour}:${minute}:${second}`;
}

/** `04:05`. */
export const wallMinute = (at) => wall(at).slice(0, 5);

const two = (number) => String(number).padStart(2, "0");

/** A length of time that counts down: `0:42`, `1:59:47`, `2 d 04:05:06`. */
export function counted(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  const rest = two(seconds % 60);
  if (days > 0) return `${days} d ${two(hours)}:${two(minutes)}:${rest}`;
  return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** An age in words: `12 s`, `5 min`, `3 h 20 min`, `2 d 4 h`. */
export function age(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** `17 B`, `4.1 KiB`. */
export function size(octets) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const place = octets < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(octets) / 10));
  const number = octets / 1024 ** place;
  return `${place > 0 && number < 100 ? number.toFixed(1) : Math.round(number)} ${units[place]}`;
}

/**
 * Gives a `time` element its moment, and what is written in it: the `moment`; its `age`, in words or as a clock
 * in a `stage`, or how long `ago` it was; or the time `till` then. */
export function setTime(node, at, as) {
  if (node.getAttribute("datetime") === at && node.dataset.as === as) return;
  node.setAttribute("datetime", at);
  node.title = at;
  node.dataset.as = as;
  write(node);
}

const WRITTEN = {
  moment: (at) => moment(at),
  age: (at) => age(now() - Date.parse(at)),
  stage: (at) => counted(Math.floor((now() - Date.parse(at)) / 1000) * 1000),
  ago: (at) => `${age(now() - Date.parse(at))} ago`,
  till: (at) => (Date.parse(at) > now() ? `in ${counted(Date.parse(at) - now())}` : "due now"),
};

function write(node) {
  const text = WRITTEN[node.dataset.as](node.getAttribute("datetime"));
  if (node.textContent !== text) node.textContent = text;
}

/** Writes every age and countdown of the page anew. */
export function tick() {
  document.querySelectorAll("time[data-as]").forEach(write);
}
