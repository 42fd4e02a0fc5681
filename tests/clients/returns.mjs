// pusher-js clients that are cut off and come back, for tests/returns. Arguments: number, key, secret, channels between
// commas, ports of the nodes between commas, and which part of cuts is long. One line "up" once all are subscribed; "finish N" on
// stdin ends the cuts, and once everybody has event N the diaries follow: the form of tests/returns/diary.py.

import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";
import net from "node:net";
import Pusher from "pusher-js";

const [count, key, secret, channelNames, nodePorts, long] = process.argv.slice(2);
const channels = channelNames.split(",");
const ports = nodePorts.split(",").map(Number);
const between = (low, high) => low + Math.random() * (high - low);
const chosen = (list) => list[Math.floor(Math.random() * list.length)];

/** Between one client and the nodes: takes a connection to any of them, and can break what there is. */
async function proxy() {
  const open = new Set();
  const made = { broken: false };
  const server = net.createServer((near) => {
    near.on("error", () => {});
    if (made.broken) return near.destroy();
    const far = net.connect(chosen(ports), "127.0.0.1");
    open.add(near).add(far);
    for (const [one, other] of [[near, far], [far, near]]) {
      one.pipe(other);
      one.on("error", () => {});
      one.on("close", () => (open.delete(one), other.destroy()));
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  made.port = server.address().port;
  made.breakAll = () => open.forEach((socket) => socket.resetAndDestroy());
  return made;
}

async function follow(number) {
  const between_us = await proxy();
  const diary = [];
  let last = -1;
  let at = 0;
  const pusher = new Pusher(key, {
    cluster: "",
    wsHost: "127.0.0.1",
    wsPort: between_us.port,
    forceTLS: false,
    enabledTransports: ["ws"],
    disableStats: true,
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, callback) => {
        // What an application's endpoint does that was told by its page what it has seen last.
        const data = JSON.stringify(at ? { replay: { time_ms: at } } : {});
        const signature = createHmac("sha256", secret).update(`${socketId}:${channelName}:${data}`).digest("hex");
        callback(null, { auth: `${key}:${signature}`, channel_data: data });
      },
    },
  });
  const channel = pusher.subscribe(channels[number % channels.length]);
  channel.bind("pusher:subscription_succeeded", () => diary.push(["back"]));
  channel.bind("pusher:subscription_error", (error) => diary.push(["error", error]));
  pusher.connection.bind("state_change", ({ current }) => diary.push(["state", current, Date.now()]));
  channel.bind("pusher:history_gap", ({ reason }) => diary.push(["gap", reason]));
  channel.bind("e", (event) => {
    const run = diary.at(-1);
    if (run?.[0] === "run" && run[2] + 1 === event.id) run[2] = event.id;
    else diary.push(["run", event.id, event.id]);
    if (event.id > last) [last, at] = [event.id, event.at];
  });
  const cut = async () => {
    const off = Math.random() < +long ? between(5000, 30000) : between(100, 1000);
    if (Math.random() < 0.5) {
      between_us.broken = true;
      between_us.breakAll();
      await new Promise((resolve) => setTimeout(resolve, off));
      between_us.broken = false;
    } else {
      pusher.disconnect();
      await new Promise((resolve) => setTimeout(resolve, off));
      pusher.connect();
    }
  };
  return { diary, cut, seen: () => last, subscribed: () => channel.subscribed };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const clients = await Promise.all(Array.from({ length: +count }, (_, number) => follow(number)));
while (!clients.every((client) => client.seen() >= 0)) await sleep(50);
process.stdout.write("up\n");
let going = true;
const cutting = clients.map(async (client) => {
  while (going) {
    // Cut again as soon as it is there and has heard something.
    const before = client.seen();
    while (going && !(client.subscribed() && client.seen() > before)) await sleep(20);
    await sleep(between(0, 300));
    if (going) await client.cut();
  }
});
createInterface({ input: process.stdin }).on("line", async (line) => {
  const words = line.split(" ");
  if (words[0] === "count") {
    const back = clients.reduce((sum, { diary }) => sum + diary.filter(([word]) => word === "back").length - 1, 0);
    return process.stdout.write(`${back}\n`);
  }
  going = false;
  await Promise.all(cutting);
  const patience = Date.now() + 90000;
  while (Date.now() < patience && !clients.every((client) => client.seen() >= +words[1])) await sleep(50);
  process.stdout.write(JSON.stringify(clients.map(({ diary }) => diary)) + "\n", () => process.exit(0));
});
