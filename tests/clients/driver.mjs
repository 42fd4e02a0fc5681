// Drives the official JavaScript clients for tests/integration: one request per line on stdin, one answer per line on
// stdout, as JSON. `{"id", "call": "pusher.connect", "args": {…}}` is answered by `{"id", "result"}` or `{"id", "error"}`.
// Objects live here under names that the test chooses. Everything a client emits is kept until the test asks for it.

import { createInterface } from "node:readline";
import * as echo from "./echo.mjs";
import * as pusher from "./pusher.mjs";
import * as server from "./server.mjs";
import * as snippet from "./snippet.mjs";

const modules = { echo, pusher, server, snippet };

async function call({ call, args = {} }) {
  const [module, name] = call.split(".");
  return (await modules[module][name](args)) ?? null;
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  // Not awaited: a call that waits for an event must not hold up the call that causes it.
  call(request)
    .then((result) => ({ id: request.id, result }))
    .catch((error) => ({ id: request.id, error: String(error?.stack ?? JSON.stringify(error)) }))
    .then((answer) => process.stdout.write(JSON.stringify(answer) + "\n"));
}
process.exit(0);
