// What happens in the chosen application, as it happens, and a form that makes an event.

import { listen, post } from "./api.js";
import { clock, count, counted, h } from "./dom.js";

// Rows that are kept; the oldest go.
const MAX_ROWS = 300;
const KINDS = { refused: "bad", "webhook failed": "bad", dropped: "warn", disconnected: "soft", unsubscribed: "soft" };

export function events(view, context) {
  if (!context.app()) {
    view.append(h("p", { class: "soft" }, "There is no application."));
    return () => {};
  }
  let paused = false;
  const kept = [];
  const watching = h("span", { id: "watching", class: "soft" });
  const wanted = h("input", { type: "search", "aria-label": "Only with this text", placeholder: "Only with this text" });
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: hold }, "Pause");
  const clear = h("button", { type: "button", onclick: () => (kept.splice(0), show()) }, "Clear");
  const log = h("tbody", { id: "log" });
  const nothing = h("p", { class: "soft" });
  const head = h("tr", {}, ["time", "what", "channel", ""].map((text) => h("th", { scope: "col" }, text)));
  view.append(
    maker(context),
    h("div", { class: "row" }, wanted, pause, clear, watching),
    h("div", { class: "card scroll" }, h("table", { class: "stack" }, h("thead", {}, head), log), nothing),
  );
  wanted.addEventListener("input", show);
  show();

  function hold() {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    if (!paused) show();
  }

  function show() {
    const text = wanted.value.toLowerCase();
    const found = kept.filter((event) => event.text.includes(text));
    log.replaceChildren(...found.map((event) => event.row));
    nothing.hidden = found.length > 0;
    nothing.textContent = kept.length ? "Nothing of what happened has this text." : "Nothing has happened since you look.";
  }

  return listen("events", { app: context.app() }, (told) => {
    for (const event of told) {
      if (event.kind === "watching") {
        watching.textContent = watched(event);
      } else {
        kept.unshift({ row: rowOf(event), text: JSON.stringify(event).toLowerCase() });
      }
    }
    kept.splice(MAX_ROWS);
    if (!paused) show();
  });
}

// Whom it comes from.
function watched({ workers, elsewhere, nodes, full }) {
  const others = elsewhere ? `, and ${count(elsewhere)} of ${counted(nodes, "other node")}` : "";
  const left = full ? `; ${counted(full, "worker")} more of other nodes: too many pages watch there already` : "";
  return counted(workers, "worker") + others + left;
}

function rowOf(event) {
  const { time_ms: time, kind, channel, data, event: name, more_channels: more, ...rest } = event;
  const about = [];
  if (name) about.push(h("b", {}, name), " ");
  if (kind === "dropped") about.push(`${count(rest.number)} more, too many to show`);
  for (const [key, word] of WORDS) if (rest[key]) about.push(h("span", { class: "soft" }, `${word} ${rest[key]} `));
  if (data !== undefined) about.push(h("pre", {}, pretty(data) + (rest.data_length ? ` … (${count(rest.data_length)} characters)` : "")));
  return h(
    "tr",
    {},
    h("td", { class: "mono" }, clock(time)),
    h("td", { class: KINDS[kind] || "" }, kind),
    h("td", { class: "wide" }, (channel || "") + (more ? ` and ${more} more` : "")),
    h("td", { class: "wide" }, about),
  );
}

const WORDS = [
  ["socket_id", "socket"],
  ["user_id", "user"],
  ["address", "from"],
  ["code", "code"],
  ["reason", ""],
  ["target", "to"],
  ["node", "at"],
];

// JSON over several lines, where that changes nothing else: a large number would lose digits, a key that comes twice a value.
function pretty(text) {
  try {
    const value = JSON.parse(text);
    return JSON.stringify(value) === text ? JSON.stringify(value, null, 1) : text;
  } catch {
    return text;
  }
}

function maker(context) {
  const field = (name, label) =>
    h("label", { class: "field" }, label, h("input", { type: "text", id: `make-${name}`, required: true, autocomplete: "off" }));
  const data = h("textarea", { id: "make-data", spellcheck: "false" });
  data.value = "{}";
  const said = h("p", { role: "status" });
  const form = h(
    "form",
    { id: "make" },
    field("channel", "Channel"),
    field("event", "Event"),
    h("label", { class: "field" }, "Data", data),
    h("button", { class: "main" }, "Send event"),
    said,
  );
  // What was said of the event before is not said of this one.
  form.addEventListener("input", () => (said.textContent = ""));
  form.addEventListener("submit", async (submitted) => {
    submitted.preventDefault();
    said.textContent = "";
    const value = (name) => form.querySelector(`#make-${name}`).value;
    try {
      await post("publish", { app: context.app(), channel: value("channel"), event: value("event"), data: data.value });
      said.className = "good";
      said.textContent = "sent";
    } catch (error) {
      said.className = "bad";
      said.textContent = error.message;
    }
  });
  return h("details", { class: "card" }, h("summary", {}, "Make an event"), form);
}
