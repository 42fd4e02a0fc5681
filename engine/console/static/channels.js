// Channels with their subscriptions, the members of one, and the users who are signed in.

import { get } from "./api.js";
import { count, counted, h, table } from "./dom.js";
import { pager } from "./pager.js";

export function channels(view, context, [channel]) {
  if (!context.app()) return nobody(view);
  return channel === undefined ? list(view, context) : members(view, context, channel);
}

export function users(view, context) {
  if (!context.app()) return nobody(view);
  return pager(view, {
    label: "User ids that begin with",
    empty: "No signed-in user.",
    load: (prefix, after) => get("users", { app: context.app(), prefix, after }),
    show: (found) => [
      table(["user", "connections"], found.rows.map((row) => [row.id, count(row.connections)]), [1], [0]),
    ],
  });
}

function list(view, context) {
  return pager(view, {
    label: "Channels that begin with",
    empty: "No channel has a subscriber.",
    load: (prefix, after) => get("channels", { app: context.app(), prefix, after }),
    show: (found) => [
      h("p", { class: "soft", id: "totals" }, counted(found.total, "channel")),
      table(
        ["channel", "kind", "subscriptions", "members"],
        found.rows.map((row) => [
          row.members === undefined ? row.name : h("a", { href: `#channels/${encodeURIComponent(row.name)}` }, row.name),
          row.kind.replaceAll("_", " "),
          count(row.subscriptions),
          row.members === undefined ? "" : count(row.members),
        ]),
        [2, 3],
        [0],
      ),
    ],
  });
}

function members(view, context, channel) {
  view.append(h("p", {}, h("a", { href: "#channels" }, "All channels"), " › ", h("b", {}, channel)));
  const leave = pager(view, {
    label: "Members",
    empty: "Nobody is there.",
    load: (_, after) => get("members", { app: context.app(), channel, after }),
    show: (found) => [
      h("p", { class: "soft" }, `${counted(found.total, "member")}, ${counted(found.subscriptions, "subscription")}`),
      table(["user"], found.rows.map((id) => [id]), [], [0]),
    ],
  });
  // Members are found by turning pages only.
  view.querySelectorAll("form input, form .main").forEach((element) => element.remove());
  return leave;
}

function nobody(view) {
  view.append(h("p", { class: "soft" }, "There is no application."));
  return () => {};
}
