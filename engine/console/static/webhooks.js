// Webhooks: how each endpoint does, what waits for a retry, and what was given up, to be sent again or forgotten.

import { get, post } from "./api.js";
import { clock, count, counted, h, renew, table, tile } from "./dom.js";

const AGAIN_MS = 3000;

export function webhooks(view, context) {
  let ended = false;
  let newest = 0;
  // How many are asked about before all are forgotten; the question stays when the lists are read anew meanwhile.
  let asked = 0;
  const said = h("p", { role: "status", id: "said" });
  const tiles = h("div", { class: "tiles" });
  const endpoints = h("section", { class: "card" });
  const dead = h("section", { class: "card", id: "dead" });
  const delayed = h("section", { class: "card", id: "delayed" });
  view.append(said, tiles, endpoints, dead, delayed);

  const act = async (name, body, word) => {
    asked = 0;
    try {
      const { number } = await post(name, body);
      said.textContent = `${counted(number, "webhook")} ${word}`;
      said.className = number ? "good" : "warn";
    } catch (error) {
      said.textContent = error.message;
      said.className = "bad";
    }
    await read();
  };
  const button = (text, run, label) => h("button", { type: "button", onclick: run, "aria-label": label || text }, text);

  function row(job, buttons) {
    const events = Object.entries(job.events).map(([name, number]) => (number > 1 ? `${number} × ${name}` : name));
    const more = job.more_channels ? ` and ${job.more_channels} more` : "";
    return [
      clock(job.time_ms),
      job.app,
      h("div", {}, job.target, h("div", { class: "soft" }, `${events.join(", ")}: ${job.channels.join(", ")}${more}`)),
      h("div", {}, ...job.errors.map((line) => h("div", { class: "mono" }, attempt(line)))),
      h("div", { class: "row" }, ...buttons),
    ];
  }

  async function read() {
    newest += 1;
    const mine = newest;
    let found;
    try {
      found = await get("webhooks");
    } catch (error) {
      if (!ended && mine === newest) tiles.replaceChildren(h("p", { class: "bad", role: "alert" }, error.message));
      return;
    }
    if (ended || mine !== newest) return;
    const { depth } = found;
    tiles.replaceChildren(
      tile("waiting", count(depth.waiting)),
      tile("being sent", count(depth.in_flight)),
      tile("wait for a retry", count(depth.delayed), depth.delayed ? "warn" : ""),
      tile("given up", count(depth.dead), depth.dead ? "bad" : ""),
    );
    const ask = () => {
      asked = depth.dead;
      forget.replaceWith(sure());
      dead.querySelector("[aria-label^='Really forget']").focus();
    };
    const sure = () =>
      button(`Really forget ${count(asked)}?`, () => act("webhooks_forget", { all: true }, "forgotten"));
    const forget = asked ? sure() : button("Forget all", ask);
    const all = [button("Send all again", () => act("webhooks_retry", { all: true }, "sent again")), forget];
    renew(
      dead,
      h("h2", {}, "Given up"),
      ...(found.dead.length
        ? [
            h("div", { class: "row" }, ...all, h("span", { class: "soft" }, `${found.dead.length} of ${count(depth.dead)}, the newest first`)),
            table(
              ["event of", "app", "to", "attempts", ""],
              found.dead.map((job) =>
                row(job, [
                  button("Send again", () => act("webhooks_retry", { id: job.id }, "sent again"), `Send ${job.id} again`),
                  button("Forget", () => act("webhooks_forget", { id: job.id }, "forgotten"), `Forget ${job.id}`),
                ]),
              ),
              [],
              [2, 3],
            ),
          ]
        : [h("p", { class: "soft" }, depth.dead ? "What is there is no webhook." : "None.")]),
    );
    renew(
      delayed,
      h("h2", {}, "Waiting for a retry"),
      found.delayed.length
        ? table(
            ["event of", "app", "to", "attempts so far", ""],
            found.delayed.map((job) =>
              row(job, [button("Send now", () => act("webhooks_retry", { id: job.id }, "sent now"), `Send ${job.id} now`)]),
            ),
            [],
            [2, 3],
          )
        : h("p", { class: "soft" }, depth.delayed ? "Only the worker that sends them knows." : "None."),
    );
  }

  const labels = new Map(
    context.about.apps.flatMap((app) => app.endpoints.map((each) => [`${app.id}/${each.id}`, each.label])),
  );
  const stopHearing = context.hear((looks) => {
    const rows = looks
      .at(-1)
      .endpoints.map((each) => [
        each.app,
        labels.get(`${each.app}/${each.id}`) || "not configured any more",
        // As metrics, alerts and the log call it.
        h("code", {}, each.id),
        count(each.sent),
        h("span", { class: each.failed ? "warn" : "" }, count(each.failed)),
        h("span", { class: each.dead ? "bad" : "" }, count(each.dead)),
      ]);
    const heads = ["app", "endpoint", "id", "delivered", "attempts failed", "given up"];
    const known = rows.length ? table(heads, rows, [3, 4, 5], [1]) : h("p", { class: "soft" }, "Nothing was sent yet.");
    const since = h("p", { class: "soft" }, "Counted by the nodes that are up, each since its start.");
    endpoints.replaceChildren(h("h2", {}, "Endpoints"), known, ...(rows.length ? [since] : []));
  });
  const timer = setInterval(() => document.hidden || read(), AGAIN_MS);
  read();
  return () => {
    ended = true;
    clearInterval(timer);
    stopHearing();
  };
}

// An attempt's time and what became of it, the time as all others on the page.
function attempt(line) {
  const [time, ...said] = line.split(" ");
  const parsed = Date.parse(time);
  return Number.isNaN(parsed) ? line : `${clock(parsed)} ${said.join(" ")}`;
}
