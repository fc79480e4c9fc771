// A Chromium that a test drives by lines on standard input, each a JSON object; each is answered by a line: {"ok": VALUE} or
// {"error": TEXT}. `node browser.mjs [--dark] [--width N] [--height N] [--noscript]`; it ends with its input.
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { audit } from "./audit.mjs";

const { values: options } = parseArgs({
  options: {
    chromium: { type: "string", default: "/usr/bin/chromium" },
    dark: { type: "boolean", default: false },
    width: { type: "string", default: "1280" },
    height: { type: "string", default: "900" },
    noscript: { type: "boolean", default: false },
  },
});

// It is shown pages of the relay alone, so it needs no sandbox, which root cannot have; and it looks for nothing outside.
const browser = await chromium.launch({
  executablePath: options.chromium,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
const context = await browser.newContext({
  colorScheme: options.dark ? "dark" : "light",
  viewport: { width: Number(options.width), height: Number(options.height) },
  javaScriptEnabled: !options.noscript,
  locale: "en-GB",
  timezoneId: "America/New_York",
});
const page = await context.newPage();

/** What went wrong in the page or was refused by its policy, and every address that it asked. */
const [faults, asked] = [[], []];
page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
page.on("console", (message) => {
  // That a stream breaks is what some tests are about.
  if (["error", "warning"].includes(message.type()) && !message.text().includes("net::ERR_")) faults.push(message.text());
});
page.on("dialog", (dialog) => {
  faults.push(`dialog: ${dialog.message()}`);
  dialog.dismiss();
});
page.on("request", (request) => asked.push(request.url()));

const verbs = {
  open: async ({ url }) => (await page.goto(url, { waitUntil: "load" })).status(),
  /** The visible text of the first element, or nothing. */
  text: ({ at }) => page.evaluate((at) => document.querySelector(at)?.innerText, at),
  count: ({ at }) => page.locator(at).count(),
  click: ({ at }) => page.locator(at).first().click({ timeout: 10_000 }),
  press: ({ key }) => page.keyboard.press(key),
  fill: ({ at, text }) => page.locator(at).fill(text, { timeout: 10_000 }),
  choose: ({ at, value }) => page.locator(at).selectOption(value, { timeout: 10_000 }),
  evaluate: ({ script }) => page.evaluate(script),
  /** The page as a screen reader has it. */
  tree: ({ at }) => page.locator(at).first().ariaSnapshot(),
  audit: () => page.evaluate(audit),
  faults: () => faults,
  asked: () => asked,
  picture: async ({ file, height }) => {
    const whole = await page.evaluate(() => document.documentElement.scrollHeight);
    const clip = { x: 0, y: 0, width: Number(options.width), height: Math.min(whole, height) };
    await page.screenshot({ path: file, fullPage: true, clip });
  },
};

/** Fails after a minute: a test that gets no answer could only hang. */
const late = () => new Promise((_, reject) => setTimeout(reject, 60_000, new Error("no answer for a minute")).unref());

for await (const line of createInterface({ input: process.stdin })) {
  const { verb, ...of } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await Promise.race([verbs[verb](of), late()])) ?? null };
  } catch (error) {
    answer = { error: `${verb}: ${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
