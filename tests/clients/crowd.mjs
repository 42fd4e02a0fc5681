// A crowd of pusher-js clients that only keeps a diary, for tests/stops.
// Arguments: number of clients, port, key, secret. One line "up" once all are subscribed. The line "out" on stdin is answered
// by how many are not; "end" by the diary: for each client when it was connected, subscribed and lost, what it got, and how
// often it dialled.

import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";
import Pusher from "pusher-js";

const [count, port, key, secret] = process.argv.slice(2);
const CHANNELS = 5;
const now = () => Date.now() / 1000;

function follow(number) {
  const diary = { attempts: 0, states: [], subscribed: [], got: [] };
  const pusher = new Pusher(key, {
    cluster: "",
    wsHost: "127.0.0.1",
    wsPort: +port,
    forceTLS: false,
    enabledTransports: ["ws"],
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
  const channel = pusher.subscribe(`presence-room-${number % CHANNELS}`);
  channel.bind("pusher:subscription_succeeded", () => diary.subscribed.push(now()));
  channel.bind("tick", (data) => diary.got.push(data));
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
  } else {
    const text = JSON.stringify(clients.map(({ diary }) => diary)) + "\n";
    process.stdout.write(text, () => process.exit(0));
  }
});
