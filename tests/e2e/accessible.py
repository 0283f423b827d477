"""What a screen reader, a keyboard and a weak eye need of a page, looked for in the page itself.

Not all of WCAG 2.2 AA: what can be told from the document alone, clause by clause.
"""

from playwright.async_api import Page

_AUDIT = """
() => {
  const wrong = [];
  const say = (clause, element, what) =>
    wrong.push(`${clause} ${what}: ${element.outerHTML.replace(/\\s+/g, " ").slice(0, 140)}`);
  const seen = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const modal = document.querySelector("dialog:modal");
  const all = [...(modal ?? document.body).querySelectorAll("*")].filter(seen);

  // 4.1.2 name: whatever can be used has one
  const text = (id) => document.getElementById(id)?.textContent.trim();
  const name = (e) =>
    e.getAttribute("aria-label") || (e.getAttribute("aria-labelledby") ?? "").split(" ").map(text).join("") ||
    [...(e.labels ?? [])].map((l) => l.textContent).join("").trim() || e.textContent.trim() || e.title ||
    e.querySelector("img[alt]")?.alt;
  const used = "button, a[href], input, select, dialog, section[aria-labelledby], [role=img], [tabindex='0']";
  for (const e of all) {
    if (e.matches(used) && !name(e)) say("4.1.2", e, "has no name");
    if (e.matches("img:not([alt])")) say("1.1.1", e, "has no text instead");
    if (e.matches("[tabindex]") && e.tabIndex > 0) say("2.4.3", e, "jumps the queue");
    for (const id of (e.getAttribute("aria-labelledby") ?? "").split(" ").filter(Boolean))
      if (!document.getElementById(id)) say("1.3.1", e, `is labelled by #${id}, which is not there`);
    if (e.matches("table") && !e.caption) say("1.3.1", e, "has no caption");
    if (e.matches("th:not([scope])")) say("1.3.1", e, "has no scope");
    if (e.matches("dl > :not(dt, dd, div)")) say("1.3.1", e, "is no term and no definition");
    if (e.matches("ul > :not(li), ol > :not(li)")) say("1.3.1", e, "is no item of its list");
  }

  // 1.3.1: ids are one element's, heading levels are not skipped
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) wrong.push(`1.3.1 #${id} is there twice`);
  let level = modal ? 1 : 2;
  for (const e of all.filter((e) => e.matches("h1, h2, h3, h4"))) {
    const own = Number(e.tagName[1]);
    if (own > level + 1) say("1.3.1", e, `follows h${level}`);
    level = own;
  }

  // 2.5.8: what is pressed is at least 24 by 24, but for links within a text
  for (const e of all.filter((e) => e.matches("button:not(.link), select, input"))) {
    const { width, height } = e.getBoundingClientRect();
    if (width < 23.5 || height < 23.5) say("2.5.8", e, `is ${Math.round(width)} by ${Math.round(height)}`);
  }

  // 1.4.3: text stands out from what is behind it
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
  const behind = (e) => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) {
      const layer = rgba(getComputedStyle(at).backgroundColor);
      layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255]);
  };
  const light = (c) => {
    const [r, g, b] = c.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  for (const e of all) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || e.closest(":disabled, .unseen, .skip, [aria-hidden=true]")) continue;
    const style = getComputedStyle(e);
    const ground = behind(e);
    const [a, b] = [light(over(rgba(style.color), ground)), light(ground)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) say("1.4.3", e, `has contrast ${ratio.toFixed(2)}`);
  }

  // 1.4.10: nothing to scroll sideways for, but within tables
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) wrong.push(`1.4.10 the page is ${scrollWidth} wide in ${clientWidth}`);
  return [...new Set(wrong)];
}
"""


async def faults(page: Page) -> list[str]:
    """Each with its clause of WCAG 2.2; of the dialog where one is open."""
    found: list[str] = await page.evaluate(_AUDIT)
    return found
