// The node and its cluster at a glance; renewed with every look.

import { bytes, count, h, ms, rate, span, table, tile } from "./dom.js";
import { plots } from "./plots.js";
import { perSecond, quantile } from "./series.js";

// A node that has not answered for so long, in seconds, is said to be silent.
const SILENT_S = 4;
const PHASES = ["serving", "leaving", "closed", "gone"];

export function overview(view, context) {
  const top = h("div", {});
  const bottom = h("div", {});
  const drawn = plots(context);
  view.append(top, drawn.element, bottom);
  const show = (looks) => {
    const now = looks.at(-1);
    const before = looks.at(-2);
    const per = (name) => rate(perSecond(name, now));
    top.replaceChildren(
      h("p", { id: "health", class: now.node.trouble ? "bad" : "good" }, now.node.trouble || health(now)),
      h(
        "div",
        { class: "tiles" },
        tile("connections", count(now.sums.connected)),
        tile("connected, a second", per("new_connections_total")),
        tile("published, a second", per("broadcast_messages_total")),
        tile("client events, a second", per("client_events_total")),
        tile("messages to clients, a second", per("ws_messages_sent_total")),
        tile("messages from clients, a second", per("ws_messages_received_total")),
        tile("API requests, a second", per("http_calls_received_total")),
        tile("API answer, 99 %", ms(quantile("http_request_duration_seconds", 0.99, context, looks))),
        tile("webhooks delivered", count(now.sums.webhooks_sent_total)),
        tile("webhook attempts failed", count(now.sums.webhooks_failed_total), now.sums.webhooks_failed_total ? "warn" : ""),
        tile("webhooks given up", count(now.sums.webhook_dead_total), now.sums.webhook_dead_total ? "bad" : ""),
      ),
    );
    drawn.draw(looks);
    const version = h("p", { class: "soft" }, `engine ${context.about.version}`);
    bottom.replaceChildren(...[nodes(now), workers(now, before), cluster(now), apps(now), version].filter((part) => part !== null));
  };
  const stopHearing = context.hear(show);
  // What is painted has the colours and the width that the page had then.
  const again = () => context.looks.length && drawn.draw(context.looks);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", again);
  window.addEventListener("resize", again);
  return () => {
    stopHearing();
    dark.removeEventListener("change", again);
    window.removeEventListener("resize", again);
  };
}

function health(now) {
  const of = now.number_of_nodes > 1 ? ` Numbers and lines are of all ${count(now.number_of_nodes)} nodes.` : "";
  return `This node is ready.${of}`;
}

// Of one node alone, its workers say it all.
function nodes(now) {
  if (now.number_of_nodes < 2) return null;
  const rows = now.nodes.map((node) => [
    h("span", {}, node.name, node.ours ? h("span", { class: "soft" }, " (this one)") : ""),
    node.silent_s > SILENT_S ? h("span", { class: "bad" }, `silent for ${span(node.silent_s)}`) : h("span", { class: "good" }, "answers"),
    count(node.workers),
    count(node.connections),
    rate(node.rates.broadcast_messages_total),
    rate(node.rates.ws_messages_sent_total),
    rate(node.rates.ws_messages_received_total),
    node.cpu === null ? "–" : `${rate(100 * node.cpu)} %`,
    bytes(node.resident_bytes),
  ]);
  const heads = ["node", "state", "workers", "connections", "published /s", "to clients /s", "from clients /s", "CPU", "memory"];
  const more = now.number_of_nodes - now.nodes.length;
  return h(
    "section",
    { class: "card", id: "nodes" },
    h("h2", {}, `${count(now.number_of_nodes)} nodes`),
    table(heads, rows, [2, 3, 4, 5, 6, 7, 8], [0]),
    more ? h("p", { class: "soft" }, `and ${count(more)} more`) : null,
  );
}

function workers(now, before) {
  const used = new Map((before?.node.workers || []).map((worker) => [worker.pid, worker]));
  const seconds = before ? (now.time_ms - before.time_ms) / 1000 : 0;
  const cpu = (worker) => {
    const last = used.get(worker.pid);
    if (!last || !seconds || worker.cpu_s === undefined) return "–";
    return `${rate((100 * (worker.cpu_s - last.cpu_s)) / seconds)} %`;
  };
  const rows = now.node.workers.map((worker) => [
    String(worker.slot),
    String(worker.pid),
    standing(worker),
    worker.leads ? "leader" : "",
    count(worker.connections),
    cpu(worker),
    bytes(worker.resident_bytes),
    worker.max_fds ? `${count(worker.open_fds)} of ${count(worker.max_fds)}` : "–",
    span(worker.lived_s),
  ]);
  const heads = ["worker", "pid", "state", "role", "connections", "CPU", "memory", "files", "lives"];
  return h("section", { class: "card" }, h("h2", {}, "Workers of this node"), table(heads, rows, [4, 5, 6, 7, 8], [2]));
}

function standing(worker) {
  if (!worker.ready) return h("span", { class: "warn" }, "starting");
  if (worker.silent_s > 2.5) return h("span", { class: "bad" }, `silent for ${span(worker.silent_s)}`);
  if (worker.trouble) return h("span", { class: "bad" }, worker.trouble);
  return h("span", { class: worker.phase ? "warn" : "good" }, PHASES[worker.phase] || "serving");
}

function cluster(now) {
  const found = now.cluster;
  const card = (...children) => h("section", { class: "card", id: "cluster" }, h("h2", {}, "Cluster"), ...children);
  if (!found) return card(h("p", {}, "One worker alone, without Redis."));
  if (found.error) return card(h("p", { class: "bad" }, `Redis cannot be reached: ${found.error}`));
  const redis = found.redis;
  const tiles = [
    tile("leader", !found.led ? "nobody" : found.leader_elsewhere ? "another node" : "this node", found.led ? "" : "bad"),
    tile("workers of other nodes", count(found.others.length)),
    tile("Redis answers in", ms(redis.answer_ms / 1000)),
  ];
  if (!redis.clustered) {
    tiles.push(
      tile("server", redis.valkey_version ? `Valkey ${redis.valkey_version}` : `Redis ${redis.redis_version}`),
      tile("its memory", bytes(redis.used_memory)),
      tile("its commands, a second", count(redis.instantaneous_ops_per_sec)),
      tile("its clients", count(redis.connected_clients)),
      tile("its role", redis.role, redis.role === "master" ? "" : "bad"),
    );
  }
  const rows = found.others.map((other) => [h("code", {}, other.incarnation), span(other.silent_s)]);
  return card(
    h("div", { class: "tiles" }, tiles),
    rows.length ? table(["worker of another node", "last heartbeat"], rows, [1]) : null,
  );
}

function apps(now) {
  const rows = Object.entries(now.apps).map(([id, connections]) => [id, count(connections)]);
  if (rows.length < 2) return null;
  return h("section", { class: "card" }, h("h2", {}, "Connections by application"), table(["app", "connections"], rows, [1]));
}
