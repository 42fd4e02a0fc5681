// A crowd of pusher-js or laravel-echo clients that only keeps a diary, for tests/stops.
// Argument, as JSON: `first` (number of the first client), `count`, `rooms` (how many), `port`, `key`, `secret`, `library`
// ("pusher-js" or "laravel-echo"), `tls`. One line "up" once all are subscribed, which has to be within a minute. On stdin, the
// line "out" is answered by how many are not; "times" by how often each has been at least; "end" by the diary: for each
// client its channel, when it was connected, subscribed, told of an error and lost, what it got and when, and how often it dialled.

import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";
import Echo from "laravel-echo";
import Pusher from "pusher-js";

const { first, count, rooms, port, key, secret, library, tls } = JSON.parse(process.argv[2]);
const UP_WITHIN_MS = 60_000;
const now = () => Date.now() / 1000;

function follow(number) {
  const room = `room-${number % rooms}`;
  const diary = { channel: `presence-${room}`, attempts: 0, states: [], subscribed: [], got: [] };
  const pusher = new Pusher(key, {
    cluster: "",
    wsHost: "127.0.0.1",
    wsPort: port,
    wssPort: port,
    forceTLS: tls,
    enabledTransports: ["ws", "wss"],
    disableStats: true,
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, callback) => {
        const data = JSON.stringify({ user_id: `user-${number}` });
        const signature = createHmac("sha256", secret).update(`${socketId}:${channelName}:${data}`).digest("hex");
        callback(null, { auth: `${key}:${signature}`, channel_data: data });
      },
    },
  });
  pusher.connection.bind("state_change", ({ current }) => {
    diary.states.push([now(), current]);
    if (current === "connecting") diary.attempts += 1;
  });
  // What the server says of its going; the connection ends some time later.
  pusher.connection.bind("error", () => diary.states.push([now(), "told"]));
  const arrived = () => diary.subscribed.push(now());
  const got = (data) => diary.got.push([now(), +data]);
  if (library === "laravel-echo") {
    const echo = new Echo({ broadcaster: "pusher", client: pusher, key });
    const joined = echo.join(room).here(arrived).listen(".tick", got);
    return { diary, channel: joined.subscription };
  }
  const channel = pusher.subscribe(diary.channel);
  channel.bind("pusher:subscription_succeeded", arrived);
  channel.bind("tick", got);
  return { diary, channel };
}

const clients = [];
for (let number = first; number < first + count; number++) {
  clients.push(follow(number));
  if (number % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 50));
}
const late = setTimeout(() => process.exit(1), UP_WITHIN_MS);
const waiting = setInterval(() => {
  if (clients.every(({ diary }) => diary.subscribed.length > 0)) {
    clearInterval(waiting);
    clearTimeout(late);
    process.stdout.write("up\n");
  }
}, 50);
createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "out") {
    process.stdout.write(`${clients.filter(({ channel }) => !channel.subscribed).length}\n`);
  } else if (line === "times") {
    process.stdout.write(`${Math.min(...clients.map(({ diary }) => diary.subscribed.length))}\n`);
  } else {
    const text = JSON.stringify(clients.map(({ diary }) => diary)) + "\n";
    process.stdout.write(text, () => process.exit(0));
  }
});
