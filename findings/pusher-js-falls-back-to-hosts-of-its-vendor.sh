#!/bin/sh
# pusher-js 8.6.0 (npm) with `wsHost` set to a server of one's own that cannot be reached for the moment.
#
# Guess: with `wsHost` it knows one server, and tries that one again until it is back.
# Seen: as soon as WebSockets to `wsHost` fail, it looks up sockjs-mt1.pusher.com (with cluster "mt1") and speaks HTTP to
#   that, for its fallback transports have a host of their own, `httpHost`. With `enabledTransports: ["ws", "wss"]` it looks
#   up no name at all.
# Consequence: who only sets `wsHost` has pages that, in an outage, take the application's key and what they subscribe to
#   to the vendor's servers.
#
# Nothing leaves this machine: names are noted and not resolved. Ends with 0 while this is so, and with 1 when it is not any
# more.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund pusher-js@8.6.0 >/dev/null
cat >scene.cjs <<'EOF'
const dns = require("dns");
const net = require("net");

const asked = new Set();
const lookup = dns.lookup;
dns.lookup = (name, options, done = options) => {
  if (net.isIP(name)) return lookup(name, options, done);
  asked.add(name);
  process.nextTick(done, Object.assign(new Error("not resolved here"), { code: "ENOTFOUND" }));
};
const Pusher = require("pusher-js");

function closedPort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function namesAsked(options) {
  const port = await closedPort();
  asked.clear();
  const own = { cluster: "mt1", wsHost: "127.0.0.1", wsPort: port, wssPort: port, forceTLS: false };
  const pusher = new Pusher("key", { ...own, ...options });
  await new Promise((resolve) => setTimeout(resolve, 8000));
  pusher.disconnect();
  return [...asked];
}

(async () => {
  const alone = await namesAsked({});
  const limited = await namesAsked({ enabledTransports: ["ws", "wss"] });
  console.log(`names asked for: ${alone.join(", ") || "none"}; with enabledTransports: ${limited.join(", ") || "none"}`);
  process.exit(alone.includes("sockjs-mt1.pusher.com") && limited.length === 0 ? 0 : 1);
})();
EOF
node --no-deprecation scene.cjs
