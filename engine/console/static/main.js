// The page's frame: login, views by the part of the address after #, the application that is looked at.

import { listen, logIn, onSessionEnd, post, session } from "./api.js";
import { apps } from "./apps.js";
import { channels, users } from "./channels.js";
import { h } from "./dom.js";
import { events } from "./events.js";
import { overview } from "./overview.js";
import { webhooks } from "./webhooks.js";

const VIEWS = { overview, channels, users, events, webhooks, apps };
const TITLES = {
  overview: "Overview",
  channels: "Channels",
  users: "Users",
  events: "Events",
  webhooks: "Webhooks",
  apps: "Applications",
};

const login = document.getElementById("login");
const shell = document.getElementById("shell");
const view = document.getElementById("view");
const chooser = document.getElementById("app");
const notice = document.getElementById("notice");
const refusal = document.getElementById("refusal");
const password = document.getElementById("password");

// What every view is given: what the session told, the chosen application, and the newest looks at the node.
const context = {
  about: null,
  looks: [],
  app: () => chooser.value,
  // The applications have changed.
  async renew() {
    context.about = await session();
    choose();
  },
  hear(callback) {
    hearers.add(callback);
    if (context.looks.length) callback(context.looks);
    return () => hearers.delete(callback);
  },
  notify(text) {
    notice.textContent = text;
    notice.hidden = !text;
  },
};
// Looks that are kept for the plots: ten minutes.
const MAX_LOOKS = 600;
const hearers = new Set();
let leaveView = () => {};
let stopLooks = () => {};

function showLogin() {
  leaveView();
  leaveView = () => {};
  stopLooks();
  shell.hidden = true;
  login.hidden = false;
  password.value = "";
  password.focus();
}

function choose() {
  const chosen = chooser.value;
  chooser.replaceChildren(
    ...context.about.apps.map((app) => h("option", { value: app.id }, app.enabled ? app.id : `${app.id} (off)`)),
  );
  if (context.about.apps.some((app) => app.id === chosen)) chooser.value = chosen;
  document.getElementById("chooser").hidden = context.about.apps.length < 2;
}

async function begin() {
  try {
    context.about = await session();
  } catch (error) {
    showLogin();
    refusal.textContent = error.status === 401 ? "" : error.message;
    return;
  }
  login.hidden = true;
  shell.hidden = false;
  context.notify("");
  choose();
  stopLooks();
  stopLooks = listen(
    "overview",
    {},
    (look) => {
      context.looks.push(look);
      if (context.looks.length > MAX_LOOKS) context.looks.shift();
      hearers.forEach((callback) => callback(context.looks));
    },
    (comes) => context.notify(comes ? "" : "the console does not answer; trying again"),
  );
  showView();
}

// The view's name and what it is of; the first view for what somebody has typed and is none.
function address() {
  try {
    return location.hash.slice(1).split("/").map(decodeURIComponent);
  } catch {
    return [""];
  }
}

function showView() {
  if (shell.hidden) return;
  const [name, ...rest] = address();
  const chosen = Object.hasOwn(VIEWS, name) ? name : "overview";
  leaveView();
  leaveView = () => {};
  document.querySelector("nav").replaceChildren(
    ...Object.keys(VIEWS).map((each) =>
      h("a", { href: `#${each}`, "aria-current": each === chosen ? "page" : false }, TITLES[each]),
    ),
  );
  document.title = `${TITLES[chosen]} · engine console`;
  view.replaceChildren();
  leaveView = VIEWS[chosen](view, context, rest) || (() => {});
}

login.addEventListener("submit", async (event) => {
  event.preventDefault();
  refusal.textContent = "";
  try {
    await logIn(password.value);
  } catch (error) {
    refusal.textContent = error.message;
    password.select();
    return;
  }
  await begin();
  view.focus();
});
document.getElementById("logout").addEventListener("click", async () => {
  await post("logout").catch(() => {});
  showLogin();
});
chooser.addEventListener("change", showView);
window.addEventListener("hashchange", showView);
onSessionEnd(() => {
  if (!login.hidden || shell.hidden) return;
  showLogin();
  refusal.textContent = "the session has ended; the password opens another one";
});
begin();
