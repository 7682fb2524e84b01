// The one stream of events that a page has, and what is said when it breaks.
//
// Each event is the whole of its kind, so nothing is lost with a connection. A stream that is silent for long may be
// one whose Pi lost its power: it is opened anew. Nobody looks: nothing is asked.

import { $, h, say } from "./dom.js";

const FIRST_RETRY_MS = 300;
const RETRY_MS = 2000;
const SILENCE_MS = 15_000;
const BANNER_AFTER_MS = 2500;
// A browser has six connections to a place, for all its tabs together: who is not looked at lets go of its one soon.
const HIDDEN_MS = 2_000;
const KINDS = ["nodes", "functions", "activity", "waiting"];

const listeners = { nodes: [], functions: [], activity: [], waiting: [] };
const last = {};
let source = null;
let silence;
let retry;
let hiding;
let lostAt = null;

/** Calls `tell` with every event of this kind, and with the last one if there was one. */
export function on(kind, tell) {
  listeners[kind].push(tell);
  if (kind in last) tell(last[kind]);
}

function heard(kind, data) {
  lostAt = null;
  $("banner").hidden = true;
  listen();
  last[kind] = data;
  for (const tell of listeners[kind]) tell(data);
}

/** Begins to listen for silence. */
function listen() {
  clearTimeout(silence);
  silence = setTimeout(open, SILENCE_MS);
}

function open() {
  close();
  source = new EventSource("/api/v1/events");
  for (const kind of KINDS) source.addEventListener(kind, (event) => heard(kind, JSON.parse(event.data)));
  source.onerror = lost;
  listen();
}

function close() {
  clearTimeout(silence);
  clearTimeout(retry);
  source?.close();
  source = null;
}

function lost() {
  close();
  const first = lostAt === null;
  lostAt ??= performance.now();
  if (performance.now() - lostAt >= BANNER_AFTER_MS) {
    tell("Connection lost. Functions may well go on serving; trying again …");
  }
  retry = setTimeout(askAndOpen, first ? FIRST_RETRY_MS : RETRY_MS);
}

/** A stream does not say why it is refused: the session does. */
async function askAndOpen() {
  let status = 0;
  try {
    status = (await fetch("/api/v1/session", { headers: { accept: "application/json" } })).status;
  } catch {
    // Nobody answers.
  }
  if (status === 401) ended();
  else if (status >= 200 && status < 300) open();
  else lost();
}

/** The session has ended: to the sign-in page and back, unless something typed would be lost. */
function ended() {
  if (document.querySelector("[data-typed]")) {
    tell("Your session has ended. ", h("a", { href: "/ui/sign-in", target: "_blank" }, "Sign in in another tab"), ", then go on here.");
    retry = setTimeout(askAndOpen, RETRY_MS);
  } else {
    location.reload();
  }
}

function tell(...words) {
  const banner = $("banner");
  const text = words.map((word) => word.textContent ?? word).join("");
  if (banner.textContent !== text) {
    say(banner, "");
    banner.append(...words);
  }
  banner.hidden = false;
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(close, HIDDEN_MS);
  else if (!source) open();
});
// A page that the browser keeps for "back" has had its stream cut.
addEventListener("pageshow", (event) => event.persisted && open());

open();
