#!/bin/sh
# pusher-js 8.6.0 (npm) when a server restarts: it closes with 4200 ("reconnect at once") and is back 0.7 s later.
#
# Guess: 4200 is the kindest code for a restart, for the client comes back at once, and tries again until the port is open.
# Seen: it does dial at once, is refused, and makes its next attempt only after a timer of 15 s has run out. After 4100
#   ("reconnect with a pause") it dials once, 1 s later, and is back at once.
# Consequence: a server that is restarted alone keeps its pages away for 15 s if it says 4200, and for 1 s if it says 4100.
#
# Ends with 0 while this is so, and with 1 when it is not any more.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund pusher-js@8.6.0 ws@8.18.3 >/dev/null
cat >scene.cjs <<'EOF'
const Pusher = require("pusher-js");
const { WebSocketServer } = require("ws");

function serve(port, onClient) {
  return new Promise((resolve) => {
    const server = new WebSocketServer({ port, host: "127.0.0.1" }, () => resolve(server));
    server.on("connection", (socket) => {
      const data = JSON.stringify({ socket_id: "1.1", activity_timeout: 120 });
      socket.send(JSON.stringify({ event: "pusher:connection_established", data }));
      onClient(socket);
    });
  });
}

async function secondsAway(code) {
  let met;
  const first = new Promise((resolve) => (met = resolve));
  const server = await serve(0, (socket) => met(socket));
  const { port } = server.address();
  const pusher = new Pusher("key", { cluster: "", wsHost: "127.0.0.1", wsPort: port, forceTLS: false, enabledTransports: ["ws"] });
  const socket = await first;
  await new Promise((resolve) => pusher.connection.bind("connected", resolve));
  const closedAt = Date.now();
  const gone = new Promise((resolve) => server.close(resolve));
  socket.close(code);
  await gone;
  await new Promise((resolve) => setTimeout(resolve, 700));
  let back;
  const returned = new Promise((resolve) => (back = resolve));
  const next = await serve(port, back);
  await returned;
  const seconds = (Date.now() - closedAt) / 1000;
  pusher.disconnect();
  next.clients.forEach((client) => client.terminate());
  next.close();
  return seconds;
}

(async () => {
  const at = { 4200: await secondsAway(4200), 4100: await secondsAway(4100) };
  console.log(`back after ${at[4200].toFixed(1)} s with 4200, after ${at[4100].toFixed(1)} s with 4100`);
  process.exit(at[4200] > 12 && at[4200] < 20 && at[4100] < 5 ? 0 : 1);
})();
EOF
node scene.cjs
