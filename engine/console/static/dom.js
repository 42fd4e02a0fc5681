// Elements and words for the views. Whatever comes from outside becomes text, never markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value);
  }
  const given = children.flat().filter((child) => child !== null && child !== undefined);
  element.append(...given.map((child) => (child instanceof Node ? child : visible(String(child)))));
  return element;
}

// What has no shape of its own, or turns the writing around, is written out: a name may not look like another one.
function visible(text) {
  return text.replace(HIDDEN, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

// Puts new content in an element's place of the old. Whoever was on a button stays on the one that is called the same.
export function renew(element, ...children) {
  const label = element.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
  element.replaceChildren(...children);
  if (label) [...element.querySelectorAll("[aria-label]")].find((each) => each.getAttribute("aria-label") === label)?.focus();
}

// A table of rows that are lists of cells. Columns of figures are in `numbers`, those of long text in `wide`. One with many
// columns becomes a list on a phone, each cell behind the head of its column.
export function table(heads, rows, numbers = [], wide = []) {
  const kind = (index) => (numbers.includes(index) ? { class: "number" } : wide.includes(index) ? { class: "wide" } : {});
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: heads.length > STACKED ? "stack" : false },
      h("thead", {}, h("tr", {}, heads.map((head, index) => h("th", { scope: "col", ...kind(index) }, head)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, index) => h("td", { ...kind(index), "data-head": heads[index] }, cell))))),
    ),
  );
}

export function tile(label, value, kind = "") {
  return h("div", { class: "tile" }, h("b", { class: kind }, value), h("span", {}, label));
}

// More columns than fit a phone.
const STACKED = 4;
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export function count(number) {
  return whole.format(number || 0);
}

// 1 channel, 2 channels.
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

export function rate(number) {
  return number >= 100 ? whole.format(number) : tenths.format(number || 0);
}

export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = number || 0;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${tenths.format(size)} ${units[unit]}`;
}

export function span(seconds) {
  if (seconds < 120) return `${tenths.format(seconds)} s`;
  if (seconds < 7200) return `${whole.format(seconds / 60)} min`;
  return seconds < 172800 ? `${tenths.format(seconds / 3600)} h` : `${tenths.format(seconds / 86400)} days`;
}

export function ms(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  return seconds < 0.001 ? `${tenths.format(seconds * 1e6)} µs` : `${tenths.format(seconds * 1000)} ms`;
}

// With the day, unless that is today.
export function clock(timeMs) {
  const date = new Date(timeMs);
  const day = date.toDateString() === new Date().toDateString() ? "" : `${date.toLocaleDateString("en-CA")} `;
  return day + `${date.toLocaleTimeString("en-GB")}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}
