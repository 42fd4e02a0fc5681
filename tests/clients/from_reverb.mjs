// Two browsers of an application that came from Laravel Reverb, with Echo as Laravel sets it up, and its back end; for tests/docs.
// Its arguments are the variables of Reverb, as JSON; it prints what came, as one object of JSON.

import Echo from "laravel-echo";
import Pusher from "pusher-js";
import { backend, sign } from "./server.mjs";

const env = JSON.parse(process.argv[2]);
const app = { id: env.REVERB_APP_ID, key: env.REVERB_APP_KEY, secret: env.REVERB_APP_SECRET };
const where = { host: env.REVERB_HOST, port: env.REVERB_PORT };
const notified = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated";
globalThis.Pusher = Pusher;
globalThis.window = globalThis;

/** As `resources/js/echo.js` has it, where Vite puts in Laravel's variables; only the authorizer is ours. */
function browser(id) {
  return new Echo({
    broadcaster: "reverb",
    key: env.REVERB_APP_KEY,
    wsHost: env.REVERB_HOST,
    wsPort: env.REVERB_PORT,
    wssPort: env.REVERB_PORT,
    forceTLS: env.REVERB_SCHEME === "https",
    enabledTransports: ["ws", "wss"],
    withoutInterceptors: true,
    authorizer: ({ name }) => ({
      // Laravel gives a user's id as the number that it is.
      authorize: (socketId, callback) =>
        name.endsWith("forbidden")
          ? callback(new Error("403"), null)
          : callback(null, sign(app, socketId, name, { user_id: id, user_info: { id } })),
    }),
  });
}

const [ada, bob] = [browser(1), browser(2)];
const came = {};
const into = (name) => {
  let put;
  const all = new Promise((resolve) => (put = resolve));
  return [(data) => put((came[name] = data)), all];
};
const [refused, isRefused] = into("refused");
const [joined, isJoined] = into("joining");
const [here, isHere] = into("here");
const [event, isEvent] = into("event");
const [named, isNamed] = into("named");
const [whisper, isWhisper] = into("whisper");
const [notification, isNotification] = into("notification");
const [leaving, isLeaving] = into("leaving");
const subscribed = (channel) => new Promise((resolve) => channel.subscribed(resolve));

ada.private("forbidden").error(() => refused("forbidden"));
const orders = ada.private("orders.1").listen("OrderShipped", () => (came.own = "came back to its sender"));
await Promise.all([subscribed(orders), subscribed(ada.channel("news").listen(".named", named))]);
await new Promise((resolve) => ada.join("room.1").joining(joined).leaving(leaving).here(resolve));
bob.join("room.1").here(here).listenForWhisper("typing", whisper);
await isHere;
await Promise.all([
  subscribed(bob.private("orders.1").listen("OrderShipped", event)),
  subscribed(bob.private("App.Models.User.2").notification(notification)),
]);

const laravel = backend({ app, ...where });
await laravel.trigger(["private-orders.1"], "App\\Events\\OrderShipped", { id: 7 }, { socket_id: ada.socketId() });
await laravel.trigger(["private-App.Models.User.2"], notified, { id: "x", type: "App\\Notifications\\Paid" });
await laravel.trigger(["news"], "named", { text: "hello" });
ada.join("room.1").whisper("typing", { text: "hel" });
await Promise.all([isRefused, isJoined, isEvent, isNamed, isWhisper, isNotification]);
bob.leave("room.1");
await isLeaving;
console.log(JSON.stringify(came));
process.exit(0);
