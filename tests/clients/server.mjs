// pusher-http-node, the back end's library; and the signatures that a back end gives to its clients.

import Pusher from "pusher";

const backends = new Map();

/** A back end of one app; kept, so that its connections are too. */
export function backend({ app, host = "127.0.0.1", port = 1, tls = false }) {
  const name = JSON.stringify([app, host, port, tls]);
  if (!backends.has(name)) {
    backends.set(
      name,
      new Pusher({
        appId: app.id,
        key: app.key,
        secret: app.secret,
        host,
        port: String(port),
        useTLS: tls,
        encryptionMasterKeyBase64: app.masterKey,
      }),
    );
  }
  return backends.get(name);
}

/** What the auth endpoint of an application answers for one channel. */
export function sign(app, socketId, channel, member) {
  return backend({ app }).authorizeChannel(socketId, channel, channel.startsWith("presence-") ? member : undefined);
}

/** What the user authentication endpoint of an application answers. */
export function signUser(app, socketId, user) {
  return backend({ app }).authenticateUser(socketId, user);
}

/** Call a method of pusher-http-node; answers `{status, body}`, for refusals too. */
export async function call({ app, host, port, tls, method, args }) {
  try {
    const answer = await backend({ app, host, port, tls })[method](...args);
    return { status: answer.status, body: await answer.json() };
  } catch (error) {
    if (error.name !== "PusherRequestError") throw error;
    return { status: error.status ?? null, body: error.body ?? String(error.error ?? error.message) };
  }
}

/** Whether pusher-http-node believes a webhook request, and what it reads from it. */
export function webhook({ app, headers, body }) {
  const hook = backend({ app }).webhook({ headers, rawBody: body });
  const valid = hook.isValid();
  return valid ? { valid, events: hook.getEvents(), time: hook.getTime().getTime() } : { valid };
}
