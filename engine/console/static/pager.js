// A page of rows at a time, read again every few seconds while it is looked at.

import { h } from "./dom.js";

const AGAIN_MS = 3000;
// Pages without a row that are passed over for one click: the server looks at so many names for each.
const MAX_EMPTY = 50;

// `load(prefix, after)` gives {rows, after}; `show(found)` gives elements. Returns what ends it.
export function pager(view, { label, load, show, empty }) {
  let after = "";
  let prefix = "";
  let ended = false;
  let asked = 0;
  const input = h("input", { type: "search", "aria-label": label, placeholder: label, spellcheck: "false" });
  const first = h("button", { type: "button", onclick: () => turn("") }, "First page");
  const next = h("button", { type: "button" }, "Next page");
  const body = h("div", { class: "card" });
  const form = h("form", { class: "row" }, input, h("button", { class: "main" }, "Find"), first, next);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    prefix = input.value;
    turn("");
  });
  view.append(form, body);

  function turn(to) {
    after = to;
    return read();
  }

  async function read() {
    asked += 1;
    const mine = asked;
    try {
      let found = await load(prefix, after);
      for (let tries = 0; !found.rows.length && found.after && tries < MAX_EMPTY && mine === asked && !ended; tries += 1) {
        found = await load(prefix, found.after);
      }
      if (ended || mine !== asked) return;
      first.disabled = !after;
      next.disabled = !found.after;
      next.onclick = () => turn(found.after);
      const more = found.after ? "Nobody here so far; the next page looks further." : empty;
      body.replaceChildren(...(found.rows.length ? show(found) : [h("p", { class: "soft" }, more)]));
    } catch (error) {
      if (!ended && mine === asked) body.replaceChildren(h("p", { class: "bad", role: "alert" }, error.message));
    }
  }

  const timer = setInterval(() => document.hidden || read(), AGAIN_MS);
  read();
  return () => {
    ended = true;
    clearInterval(timer);
  };
}
