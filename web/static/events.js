// What happened, as a list: who, what, when.

import { drawing, h, list, say, set } from "./dom.js";
import { ago } from "./format.js";

const PERSON = "M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM5 20c0-4 3-6 7-6s7 2 7 6";
const BRAMBLE = "M6 6h12v12H6zM9 3v3M15 3v3M9 18v3M15 18v3M3 9h3M3 15h3M18 9h3M18 15h3";
const REFRESH_MS = 10_000;

/** Keeps events below `parent`. */
export function events(parent) {
  const show = list(parent, (event) => event.key, (event) => {
    const when = h("time", { datetime: event.time, title: new Date(event.time).toLocaleString() });
    const own = event.actor === "bramble";
    const element = h("li", { class: own ? "own" : "person" }, drawing(own ? BRAMBLE : PERSON),
      h("span", { class: "text" }, event.text), h("span", { class: "faint" }, own ? "by itself" : `by ${event.actor}`, " · ", when));
    return { element, update: () => say(when, ago(event.time)) };
  });
  let shown = [];
  const all = () => {
    const seen = new Map();
    show(shown.map((event) => {
      const key = `${event.time} ${event.actor} ${event.text}`;
      const times = seen.get(key) ?? 0;
      seen.set(key, times + 1);
      return { ...event, key: `${key} ${times}` };
    }));
  };
  setInterval(all, REFRESH_MS);
  return (events) => {
    shown = events;
    all();
    set(parent, "data-empty", events.length ? null : true);
  };
}
