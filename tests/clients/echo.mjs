// laravel-echo over pusher-js. Each function is a call of driver.mjs; `client` names the connection.

import Echo from "laravel-echo";
import Pusher from "pusher-js";
import { Inbox } from "./inbox.mjs";
import { options } from "./pusher.mjs";

const clients = new Map();

/** Connect; returns the socket id. */
export function connect({ client, app, ...rest }) {
  const pusher = new Pusher(app.key, options({ app, ...rest }));
  const echo = new Echo({ broadcaster: "pusher", client: pusher, key: app.key });
  const inbox = new Inbox();
  clients.set(client, { echo, inbox });
  return new Promise((resolve) => pusher.connection.bind("connected", () => resolve(echo.socketId())));
}

/** Echo.channel / Echo.private / Echo.encryptedPrivate, listening to `events`; resolves when subscribed. */
export function listen({ client, kind, channel, events = [], whispers = [] }) {
  const { echo, inbox } = clients.get(client);
  const joined = echo[kind](channel);
  bind(joined, inbox, channel, events, whispers);
  return new Promise((resolve, reject) => joined.subscribed(() => resolve(true)).error((e) => reject(new Error(JSON.stringify(e)))));
}

/** Echo.join; resolves with what `.here()` is given. */
export function join({ client, channel, events = [], whispers = [] }) {
  const { echo, inbox } = clients.get(client);
  const joined = echo.join(channel);
  joined.joining((member) => inbox.put({ kind: "joining", channel, name: member.name, member }));
  joined.leaving((member) => inbox.put({ kind: "leaving", channel, name: member.name, member }));
  bind(joined, inbox, channel, events, whispers);
  return new Promise((resolve, reject) => joined.here(resolve).error((e) => reject(new Error(JSON.stringify(e)))));
}

function bind(joined, inbox, channel, events, whispers) {
  for (const event of events) joined.listen(event, (data) => inbox.put({ kind: "event", channel, event, data }));
  for (const event of whispers) joined.listenForWhisper(event, (data) => inbox.put({ kind: "whisper", channel, event, data }));
}

export function whisper({ client, kind, channel, event, data }) {
  clients.get(client).echo[kind](channel).whisper(event, data);
}

export function leave({ client, channel }) {
  clients.get(client).echo.leave(channel);
}

export function take({ client, like, timeoutMs }) {
  return clients.get(client).inbox.take(like, timeoutMs);
}

export function seen({ client, like }) {
  return clients.get(client).inbox.seen(like);
}

export function disconnect({ client }) {
  clients.get(client).echo.disconnect();
  clients.delete(client);
}
