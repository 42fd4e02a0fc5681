// A crowd of pusher-js or laravel-echo clients that only keeps a diary, for tests/stops.
// Arguments: number of clients, port, key, secret, "pusher-js" or "laravel-echo", "tls" or "plain". One line "up" once all
// are subscribed. On stdin, the line "out" is answered by how many are not; "times" by how often each has been at least;
// "end" by the diary: for each client when it was connected, subscribed and lost, what it got, and how often it dialled.

import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";
import Echo from "laravel-echo";
import Pusher from "pusher-js";

const [count, port, key, secret, library, transport] = process.argv.slice(2);
const CHANNELS = 5;
const now = () => Date.now() / 1000;

function follow(number) {
  const diary = { attempts: 0, states: [], subscribed: [], got: [] };
  const pusher = new Pusher(key, {
    cluster: "",
    wsHost: "127.0.0.1",
    wsPort: +port,
    wssPort: +port,
    forceTLS: transport === "tls",
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
  const arrived = () => diary.subscribed.push(now());
  const got = (data) => diary.got.push(data);
  const room = `room-${number % CHANNELS}`;
  if (library === "laravel-echo") {
    const echo = new Echo({ broadcaster: "pusher", client: pusher, key });
    const joined = echo.join(room).here(arrived).listen(".tick", got);
    return { diary, channel: joined.subscription };
  }
  const channel = pusher.subscribe(`presence-${room}`);
  channel.bind("pusher:subscription_succeeded", arrived);
  channel.bind("tick", got);
  return { diary, channel };
}

const clients = [];
for (let number = 0; number < +count; number++) {
  clients.push(follow(number));
  if (number % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 50));
}
const waiting = setInterval(() => {
  if (clients.every(({ diary }) => diary.subscribed.length > 0)) {
    clearInterval(waiting);
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
