// What docs/migrating-from-pusher.md gives to be pasted, used as one application uses it. For tests/docs: its argument is the
// folder where the page's blocks are, `client.mjs` and `back_end.mjs`; it prints what came, as one object of JSON.

import { once } from "node:events";

const [folder] = process.argv.slice(2);
const { backend } = await import(`${folder}/back_end.mjs`);
const { pusher } = await import(`${folder}/client.mjs`);
const user = { id: "ada", user_info: { name: "Ada" } };
const came = { events: {} };

// Only these two are the application's own, and speak with its back end.
pusher.config.channelAuthorizer = ({ socketId, channelName }, callback) =>
  callback(null, backend.authorizeChannel(socketId, channelName, channelName.startsWith("presence-") ? { user_id: "ada" } : undefined));
pusher.config.userAuthenticator = ({ socketId }, callback) => callback(null, backend.authenticateUser(socketId, user));

const event = (target, name) => new Promise((resolve) => target.bind(name, resolve));
const heard = async (target, name) => (came.events[name] = await event(target, name));
const subscribed = async (name) => {
  const channel = pusher.subscribe(name);
  await event(channel, "pusher:subscription_succeeded");
  return channel;
};

pusher.signin();
await pusher.user.signinDonePromise;
const hidden = await subscribed("private-encrypted-room");
const cached = pusher.subscribe("cache-room");
await event(cached, "pusher:cache_miss");
const room = await subscribed("presence-room");
came.member = room.members.me.id;

const all = ["greeting", "from-python"].map((name) => heard(room, name));
all.push(heard(hidden, "secret"), heard(pusher.user, "to-you"), heard(cached, "kept"));
const answer = await backend.trigger(["presence-room", "cache-room"], "greeting", { text: "hello" }, { info: "subscription_count" });
came.info = (await answer.json()).channels["presence-room"];
await backend.trigger("private-encrypted-room", "secret", { text: "hidden" });
await backend.triggerBatch([{ channel: "cache-room", name: "kept", data: { text: "kept" } }]);
await backend.sendToUser("ada", "to-you", { text: "you" });
came.users = (await (await backend.get({ path: "/channels/presence-room/users" })).json()).users;
console.log("joined");
await Promise.all(all);
came.sent = room.trigger("client-typing", { on: true });
// Whose connections are ended is sent away for good.
const gone = event(pusher.connection, "disconnected");
await once(process.stdin, "data");
await backend.terminateUserConnections("ada");
await gone;
console.log(JSON.stringify(came));
process.exit(0);
