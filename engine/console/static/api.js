// What the page says to the console's process. The session is a cookie that no script can read; its CSRF token, which
// every change must show, is kept in this module only.

const AGAIN_MS = 3000;

let csrf = "";
let onEnd = () => {};

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Called when a request finds that there is no session any more.
export function onSessionEnd(callback) {
  onEnd = callback;
}

export async function logIn(password) {
  csrf = (await send("POST", "login", { password })).csrf;
}

export async function session() {
  const found = await send("GET", "session");
  csrf = found.csrf;
  return found;
}

export function get(name, query = {}) {
  const text = new URLSearchParams(query).toString();
  return send("GET", text ? `${name}?${text}` : name);
}

export function post(name, body = {}) {
  return send("POST", name, body);
}

// Server-sent events; returns a function that ends them. `onState` hears whether they come.
export function listen(name, query, onPiece, onState = () => {}) {
  const text = new URLSearchParams(query).toString();
  let source;
  let timer;
  const open = () => {
    source = new EventSource(text ? `api/${name}?${text}` : `api/${name}`);
    source.onmessage = (event) => {
      onState(true);
      onPiece(JSON.parse(event.data));
    };
    source.onerror = () => {
      onState(false);
      // The browser does not say why, and tries no more after an answer that is none, as of a proxy.
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, AGAIN_MS);
      session().catch(() => {});
    };
  };
  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

async function send(method, path, body) {
  const options = { method, headers: {}, credentials: "same-origin" };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.headers["X-CSRF-Token"] = csrf;
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(`api/${path}`, options);
  } catch {
    throw new Refusal(0, "the console does not answer");
  }
  const found = await response.json().catch(() => ({ error: `status ${response.status}` }));
  if (!response.ok) {
    if (response.status === 401 && path !== "login") onEnd();
    throw new Refusal(response.status, found.error || `status ${response.status}`);
  }
  return found;
}
