// pusher-js. Each function is a call of driver.mjs; `client` names the connection.

import Pusher from "pusher-js";
import { sign, signUser } from "./server.mjs";
import { Inbox } from "./inbox.mjs";

const clients = new Map();

/** Options of a pusher-js that talks to our server; the back end's signatures are made in this process. */
export function options({ app, host = "127.0.0.1", port, member, user, tls = false, more = {} }) {
  return {
    cluster: "",
    wsHost: host,
    wsPort: port,
    wssPort: port,
    forceTLS: tls,
    enabledTransports: ["ws", "wss"],
    disableStats: true,
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, callback) => callback(null, sign(app, socketId, channelName, member)),
    },
    userAuthentication: {
      customHandler: ({ socketId }, callback) => callback(null, signUser(app, socketId, user)),
    },
    ...more,
  };
}

/** Connect; returns the socket id. `member` is used for presence channels, `user` for signing in. */
export async function connect({ client, app, ...rest }) {
  const pusher = new Pusher(app.key, options({ app, ...rest }));
  const inbox = new Inbox();
  clients.set(client, { pusher, inbox });
  pusher.bind_global((event, data) => inbox.put({ kind: "global", event, data }));
  pusher.user.bind_global((event, data) => inbox.put({ kind: "user", event, data }));
  for (const name of ["online", "offline"])
    pusher.user.watchlist.bind(name, ({ user_ids }) => inbox.put({ kind: "watchlist", name, users: user_ids }));
  pusher.connection.bind("state_change", ({ current }) => inbox.put({ kind: "state", state: current }));
  pusher.connection.bind("error", (e) => inbox.put({ kind: "error", code: (e?.error?.data ?? e?.data)?.code ?? null }));
  await inbox.take({ kind: "state", state: "connected" });
  return pusher.connection.socket_id;
}

/** Subscribe and wait for the outcome: `{ok, data}`, with the members for a presence channel. */
export function subscribe({ client, channel, events = [] }) {
  const { pusher, inbox } = clients.get(client);
  const subscribed = pusher.subscribe(channel);
  subscribed.bind_global((event, data) => inbox.put({ kind: "channel", channel, event, data }));
  // Only a handler for the event itself is told who sent it.
  for (const event of events)
    subscribed.bind(event, (data, metadata) => inbox.put({ kind: "bound", channel, event, data, user: metadata?.user_id ?? null }));
  return new Promise((resolve) => {
    subscribed.bind("pusher:subscription_succeeded", (data) => {
      resolve({ ok: true, data: data?.members ? roster(subscribed.members) : data });
    });
    subscribed.bind("pusher:subscription_error", (data) => resolve({ ok: false, data }));
  });
}

/** Members as the application sees them now. */
export function members({ client, channel }) {
  return roster(clients.get(client).pusher.channel(channel).members);
}

function roster(members) {
  const all = {};
  members.each((member) => (all[member.id] = member.info));
  return { count: members.count, me: members.me?.id ?? null, members: all };
}

export function unsubscribe({ client, channel }) {
  clients.get(client).pusher.unsubscribe(channel);
}

/** Send a client event; returns whether pusher-js sent it. */
export function trigger({ client, channel, event, data }) {
  return clients.get(client).pusher.channel(channel).trigger(event, data);
}

export async function signin({ client }) {
  const { pusher } = clients.get(client);
  pusher.signin();
  await pusher.user.signinDonePromise;
  return pusher.user.user_data;
}

/** The oldest thing emitted that has all members of `like`; it is taken. */
export async function take({ client, like, timeoutMs }) {
  return plain(await clients.get(client).inbox.take(like, timeoutMs));
}

/** Everything emitted so far that has all members of `like` and was not taken. */
export function seen({ client, like }) {
  return clients.get(client).inbox.seen(like).map(plain);
}

export function state({ client }) {
  return clients.get(client).pusher.connection.state;
}

export function socketId({ client }) {
  return clients.get(client).pusher.connection.socket_id;
}

export function disconnect({ client }) {
  clients.get(client).pusher.disconnect();
  clients.delete(client);
}

/** Presence members arrive as objects of the library, with a reference to the channel's whole roster. */
function plain(item) {
  return { ...item, data: item.data?.members ? roster(item.data) : item.data };
}
