// Runs in the page: what is wrong with it for those who see it badly, not at all, or on a small screen. A list of texts.

export function audit() {
  const faults = [];
  const name = (node) => `<${node.tagName.toLowerCase()}${node.id ? ` id=${node.id}` : ""}${node.getAttribute("class") ? ` class=${node.getAttribute("class")}` : ""}> ${(node.textContent ?? "").trim().slice(0, 40)}`;
  const shown = (node) => node.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && node.getBoundingClientRect().width > 1;

  // Contrast: 4.5 to 1 for text, 3 to 1 for large text (WCAG 2.2, 1.4.3).
  const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = color;
    pixel.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [r2, g2, b2]) => [r * a + r2 * (1 - a), g * a + g2 * (1 - a), b * a + b2 * (1 - a), 1];
  const ground = (node) => {
    const color = rgba(getComputedStyle(node).backgroundColor);
    if (color[3] === 1) return color;
    return over(color, node.parentElement ? ground(node.parentElement) : [255, 255, 255, 1]);
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  let texts = 0;
  for (const node of document.body.querySelectorAll("*")) {
    const own = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
    if (!own || !shown(node) || node.closest("title, option")) continue;
    texts += 1;
    const style = getComputedStyle(node);
    const behind = ground(node);
    const front = over(rgba(node instanceof SVGElement ? style.fill : style.color), behind);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = contrast(front, behind);
    if (ratio < (large ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)}: ${name(node)}`);
  }
  if (texts < 20) faults.push(`only ${texts} texts were looked at`);

  // Names.
  if (!document.documentElement.lang) faults.push("the page says no language");
  if (!document.title) faults.push("the page has no title");
  for (const node of document.querySelectorAll("button, a, summary")) if (!node.textContent.trim()) faults.push(`no name: ${name(node)}`);
  for (const node of document.querySelectorAll("input, select")) if (!node.labels.length) faults.push(`no label: ${name(node)}`);
  for (const node of document.querySelectorAll("svg")) {
    if (node.getAttribute("aria-hidden") !== "true" && !(node.getAttribute("role") === "img" && node.getAttribute("aria-label"))) faults.push(`no name: ${name(node)}`);
  }
  for (const node of document.querySelectorAll("table")) {
    if (!node.caption?.textContent.trim()) faults.push(`no caption: ${name(node)}`);
    for (const head of node.querySelectorAll("th")) if (!head.scope) faults.push(`no scope: ${name(head)}`);
  }
  for (const node of document.querySelectorAll("[aria-controls], [aria-labelledby]")) {
    const id = node.getAttribute("aria-controls") ?? node.getAttribute("aria-labelledby");
    if (!document.getElementById(id)) faults.push(`names ${id}, which is not there: ${name(node)}`);
  }
  for (const node of document.querySelectorAll("section[aria-labelledby]")) {
    if (shown(node) && !document.getElementById(node.getAttribute("aria-labelledby")).textContent.trim()) faults.push(`no name: ${name(node)}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`id ${id} is there twice`);
  let level = 0;
  for (const node of document.querySelectorAll("h1, h2, h3, h4")) {
    if (!shown(node)) continue;
    const now = Number(node.tagName[1]);
    if (now > level + 1) faults.push(`h${now} after h${level}: ${name(node)}`);
    level = now;
  }

  // Nothing is wider than the screen, and what a finger meets is high enough (WCAG 2.2, 2.5.8, asks 24 pixels of what is not within a line).
  const page = document.scrollingElement;
  if (page.scrollWidth > innerWidth) faults.push(`the page is ${page.scrollWidth} wide, the window ${innerWidth}`);
  for (const card of document.querySelectorAll(".card")) {
    // The letters of an axis may stand out by a few pixels.
    const edge = card.getBoundingClientRect().right - parseFloat(getComputedStyle(card).paddingRight);
    for (const node of card.querySelectorAll("*")) {
      if (shown(node) && !node.closest(".unseen, thead") && node.getBoundingClientRect().right > edge + 8) faults.push(`beyond its card: ${name(node)}`);
    }
  }
  for (const node of document.querySelectorAll("input, select")) {
    if (shown(node) && node.getBoundingClientRect().height < 24) faults.push(`${node.getBoundingClientRect().height} high: ${name(node)}`);
  }
  return faults;
}
