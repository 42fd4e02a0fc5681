// The applications: added, given new secrets, switched off and on, removed, where the node can write their table.

import { get, post } from "./api.js";
import { count, h, renew, table } from "./dom.js";

export function apps(view, context) {
  let ended = false;
  let found = null;
  // The application whose removal is asked about; the question stays when the list is read anew meanwhile.
  let asked = null;
  const said = h("p", { role: "status", id: "said" });
  const secret = h("section", { class: "card", id: "secret", hidden: true });
  const list = h("section", { class: "card", id: "apps" });
  const name = h("input", { type: "text", id: "new-app", required: true, autocomplete: "off", spellcheck: "false" });
  const form = h(
    "form",
    { class: "row card", id: "add-app", hidden: true },
    h("label", { for: "new-app" }, "Id of a new application"),
    name,
    h("button", { class: "main" }, "Add"),
  );
  view.append(said, secret, list, form);
  const button = (text, run, label) => h("button", { type: "button", onclick: run, "aria-label": label || text }, text);

  async function act(call, body, word) {
    asked = null;
    try {
      const made = await post(call, body);
      said.className = "good";
      said.textContent = `${body.app}: ${word}`;
      show(made);
    } catch (error) {
      said.className = "bad";
      said.textContent = error.message;
    }
    await context.renew().catch(() => {});
    await read();
  }

  // Only the answer to the request that made it has a secret; the page keeps it until it is left.
  function show({ id, key, secret: made }) {
    secret.hidden = !made;
    if (!made) return;
    const lines = `PUSHER_APP_ID=${id}\nPUSHER_APP_KEY=${key}\nPUSHER_APP_SECRET=${made}`;
    secret.replaceChildren(
      h("h2", {}, "The new secret, shown this once"),
      h("pre", {}, lines),
      button("Hide", () => (secret.hidden = true)),
    );
  }

  function buttons(app) {
    const only = app.rotating
      ? [button("End rotation", () => act("apps_finish", { app: app.id }, "only its present secret is accepted now"), `End rotation of ${app.id}`)]
      : [];
    const remove =
      asked === app.id
        ? button(`Really remove ${app.id}?`, () => act("apps_remove", { app: app.id, confirm: app.id }, "removed"))
        : button("Remove", () => ask(app.id), `Remove ${app.id}`);
    return h(
      "div",
      { class: "row" },
      button("New secret", () => act("apps_rotate", { app: app.id }, "the secret before this one is accepted too"), `New secret for ${app.id}`),
      ...only,
      button(
        app.enabled ? "Disable" : "Enable",
        () => act("apps_enable", { app: app.id, enabled: !app.enabled }, app.enabled ? "disabled" : "enabled"),
        `${app.enabled ? "Disable" : "Enable"} ${app.id}`,
      ),
      remove,
    );
  }

  function ask(id) {
    asked = id;
    draw();
    list.querySelector(`[aria-label="Really remove ${CSS.escape(id)}?"]`).focus();
  }

  async function read() {
    try {
      found = await get("apps");
    } catch (error) {
      if (!ended) list.replaceChildren(h("p", { class: "bad", role: "alert" }, error.message));
      return;
    }
    if (!ended) draw();
  }

  function draw() {
    form.hidden = Boolean(found.why_not);
    const rows = found.rows.map((app) => [
      app.id,
      h("span", { class: "mono" }, app.key),
      h("span", { class: app.enabled ? "" : "warn" }, app.enabled ? "yes" : "no"),
      app.rotating ? "two" : "one",
      app.max_connections ? count(app.max_connections) : "any",
      count(app.webhooks),
      ...(found.why_not ? [] : [buttons(app)]),
    ]);
    const heads = ["id", "key", "served", "secrets", "connections", "webhooks", ...(found.why_not ? [] : [""])];
    renew(
      list,
      ...(found.why_not ? [h("p", { class: "soft", id: "why-not" }, `They cannot be edited here: ${found.why_not}.`)] : []),
      rows.length ? table(heads, rows, [4, 5], [0]) : h("p", { class: "soft" }, "There is no application."),
    );
  }

  form.addEventListener("submit", async (submitted) => {
    submitted.preventDefault();
    await act("apps_add", { app: name.value }, "added");
    name.value = "";
  });
  read();
  return () => {
    ended = true;
  };
}
