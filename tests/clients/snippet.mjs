// Lines of a documentation page, run as they stand there, with the names that they use. For tests/docs.

import Echo from "laravel-echo";
import Pusher from "pusher-js";
import { Inbox } from "./inbox.mjs";
import { options } from "./pusher.mjs";
import { backend } from "./server.mjs";

const pages = new Map();

/** A page that follows `channel` by this code; `take` then tells what it has shown, and when it reloaded. */
export async function page({ client, app, port, channel, code }) {
  const inbox = new Inbox();
  const pusher = new Pusher(app.key, options({ app, port }));
  pages.set(client, { pusher, inbox });
  const names = {
    channel: pusher.subscribe(channel),
    echo: new Echo({ broadcaster: "pusher", client: pusher, key: app.key }),
    show: (order) => inbox.put({ shown: order }),
    reload: () => inbox.put({ reloaded: true }),
  };
  names.channel.bind("pusher:subscription_succeeded", () => inbox.put({ subscribed: true }));
  new Function(...Object.keys(names), code)(...Object.values(names));
  await inbox.take({ subscribed: true });
}

export function take({ client, like, timeoutMs }) {
  return pages.get(client).inbox.take(like, timeoutMs);
}

/** It is gone for a moment, and comes back. */
export async function returns({ client }) {
  const { pusher, inbox } = pages.get(client);
  pusher.disconnect();
  pusher.connect();
  await inbox.take({ subscribed: true });
}

export function leave({ client }) {
  pages.get(client).pusher.disconnect();
  pages.delete(client);
}

/** Code of a back end: with `pusher`, the library, and further names; answers what `wanted` is then, or what was sent. */
export async function server({ app, port, code, names = {}, wanted = "undefined" }) {
  let sent = null;
  const given = { pusher: backend({ app, port }), res: { send: (answer) => (sent = answer) }, ...names };
  const run = new Function(...Object.keys(given), `return (async () => {${code}; return ${wanted};})()`);
  return (await run(...Object.values(given))) ?? sent;
}
