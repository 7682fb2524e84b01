// A function's log, line by line as it is written.

import { h, say, set } from "./dom.js";

/** Most lines that are kept. */
const MOST_LINES = 2000;
const TAIL = 200;
const RETRY_MS = 2000;
/** A browser has six connections to a place, for all its tabs together. */
const HIDDEN_MS = 2000;

/** Splits a stream of bytes into lines. */
async function* linesOf(body) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = parts.pop();
    yield* parts.filter(Boolean);
  }
}

/** Shows the log in `place`; answers `{ start(), stop() }`: nothing is asked while nobody looks. */
export function logView({ place, state, pause, clear }, { name, namespace }) {
  let paused = false;
  let held = [];
  let asking = null;
  let since = null;

  function line({ timestamp, instance, text }) {
    return h("div", { class: "logline" }, h("time", { datetime: timestamp, title: timestamp }, new Date(timestamp).toLocaleTimeString("en-GB")), " ",
      h("span", { class: "instance" }, instance), " ", h("span", null, text.replace(/\n$/, "")));
  }

  function show(lines) {
    const atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
    place.append(...lines.map(line));
    while (place.children.length > MOST_LINES) place.firstElementChild.remove();
    if (atEnd) place.scrollTop = place.scrollHeight;
  }

  function take(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    since = message.timestamp;
    if (paused) {
      held.push(message);
      if (held.length > MOST_LINES) held.shift();
      say(state, `${held.length} lines wait.`);
    } else {
      show([message]);
    }
  }

  async function follow(stop) {
    while (!stop.aborted) {
      try {
        const asked = new URLSearchParams({ name, namespace, follow: "true" });
        if (since) asked.set("since", new Date(Date.parse(since) + 1).toISOString());
        else asked.set("tail", String(TAIL));
        const answer = await fetch(`/system/logs?${asked}`, { signal: stop });
        if (!answer.ok) throw new Error((await answer.text()).trim() || `The bramble answers ${answer.status}.`);
        if (!paused) say(state, "Following.");
        for await (const text of linesOf(answer.body)) take(text);
      } catch (error) {
        if (stop.aborted) return;
        say(state, error instanceof TypeError ? "Connection lost, trying again …" : error.message);
      }
      await new Promise((wake) => { setTimeout(wake, RETRY_MS); });
    }
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    set(pause, "aria-pressed", String(paused));
    say(pause, paused ? "Go on" : "Pause");
    if (!paused) {
      show(held);
      held = [];
    }
    say(state, paused ? "Paused." : "Following.");
  });
  clear.addEventListener("click", () => place.replaceChildren());

  function ask() {
    if (asking) return;
    asking = new AbortController();
    follow(asking.signal);
  }

  function leave() {
    asking?.abort();
    asking = null;
  }

  let wanted = false;
  let hiding;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(leave, HIDDEN_MS);
    else if (wanted) ask();
  });

  return {
    start() {
      wanted = true;
      ask();
    },
    stop() {
      wanted = false;
      leave();
    },
  };
}
