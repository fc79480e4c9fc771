// The Monitor's stream: a snapshot in each line, an empty line while nothing changes. It is opened again by itself.

/** Without a line for so long, the relay is taken to be gone: it sends one every ten seconds. */
const SILENCE = 25_000;
/** The first and the longest wait before the stream is opened again. */
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 10_000;

/**
 * Follows the stream for as long as the page is there. `tell` has `opened()`, `snapshot(snapshot)` and `lost(why, wait)`, where
 * `wait` is how long it takes till the next attempt, in milliseconds.
 */
export async function follow(tell) {
  let wait = FIRST_WAIT;
  for (;;) {
    let why;
    try {
      await once((snapshot) => {
        wait = FIRST_WAIT;
        tell.snapshot(snapshot);
      }, tell.opened);
      why = "the relay ended the stream";
    } catch (error) {
      why = error.message;
    }
    tell.lost(why, wait);
    await rest(wait);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

async function once(take, opened) {
  const abort = new AbortController();
  let alarm;
  const heard = () => {
    clearTimeout(alarm);
    alarm = setTimeout(() => abort.abort(new Error(`nothing was heard for ${SILENCE / 1000} seconds`)), SILENCE);
  };
  heard();
  try {
    const response = await fetch("monitor/stream", { signal: abort.signal, cache: "no-store" }).catch((error) => {
      throw abort.signal.aborted ? abort.signal.reason : new Error("the relay cannot be reached", { cause: error });
    });
    if (!response.ok) throw new Error((await response.text()).trim() || `the relay answers ${response.status}`);
    await opened();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw abort.signal.aborted ? abort.signal.reason : new Error("the connection broke", { cause: error });
      });
      if (done) return;
      heard();
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      // Of several only the last is still so.
      const last = lines.findLast((line) => line.trim() !== "");
      if (last) take(JSON.parse(last));
    }
  } finally {
    clearTimeout(alarm);
    abort.abort();
  }
}

/** Waits; not to the end, where the network or the reader has come back. */
function rest(wait) {
  return new Promise((resolve) => {
    const events = new AbortController();
    const end = () => {
      clearTimeout(timer);
      events.abort();
      resolve();
    };
    const timer = setTimeout(end, wait);
    addEventListener("online", end, { signal: events.signal });
    document.addEventListener("visibilitychange", () => document.hidden || end(), { signal: events.signal });
  });
}
