// All that is known of one board, in the words that the bramble has for it; asked for only while somebody looks.

import { h, list, say, set } from "./dom.js";
import { get } from "./api.js";
import { WORDS } from "./lights/words.js";

/** Milliseconds after which what is shown is asked for anew. */
const STALE = 4000;

/** What a light says, in words. */
const shown = ({ says, brightness }) => (brightness === 0 && says !== "identify" ? "Dark at this hour." : WORDS[says] ?? says);

function fact() {
  const title = h("dt");
  const words = h("dd");
  return {
    element: h("div", null, title, words),
    update(now) {
      say(title, now.title);
      say(words, now.words);
    },
  };
}

/** `{ element, update(node) }`. */
export function about() {
  let node;
  let asked = 0;
  const facts = h("dl");
  const problem = h("p", { class: "problem", role: "alert" });
  const summary = h("summary", null, "About");
  const element = h("details", { class: "about" }, summary, facts, problem);
  const show = list(facts, ({ title }) => title, fact);

  async function look() {
    if (!element.open || Date.now() - asked < STALE) return;
    asked = Date.now();
    try {
      const { about: known, light } = await get(`/api/v1/nodes/${encodeURIComponent(node.name)}`);
      show(light ? [...known, { title: "Light", words: shown(light) }] : known);
      say(problem, "");
    } catch (refusal) {
      say(problem, refusal.message);
    }
  }

  element.addEventListener("toggle", () => {
    asked = 0;
    look();
  });
  return {
    element,
    update(now) {
      node = now;
      set(summary, "aria-label", `About ${now.name}`);
      look();
    },
  };
}
