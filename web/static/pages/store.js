// The built-in functions: one press deploys one and leads to its page, where the example waits.

import "../shell.js";
import { $, h, list, say, set } from "../dom.js";
import { on } from "../live.js";
import { Refusal, deploymentOf, imageOf, send, store } from "../api.js";
import { pageOf, plural } from "../format.js";
import { search } from "../search.js";

const CATEGORIES = { text: "Text", pictures: "Pictures", numbers: "Numbers", network: "Network", machine: "The machine", pages: "Pages" };
const NAMESPACE = "openfaas-fn";

let entries = [];
let running = new Map();
let category = new URLSearchParams(location.search).get("category") ?? "";
const matches = search(show);

async function deploy(entry, button, problem) {
  set(button, "aria-busy", true);
  button.disabled = true;
  say(problem, "");
  try {
    await send("POST", "/system/functions", deploymentOf(entry));
    location.assign(pageOf({ namespace: NAMESPACE, name: entry.name }));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    say(problem, error.message);
    button.disabled = false;
    set(button, "aria-busy", false);
  }
}

function card(entry) {
  const problem = h("p", { class: "problem", role: "alert" });
  const button = h("button", { type: "button", class: "primary", "aria-label": `Deploy ${entry.title}`, "data-needs": "change_functions" }, "Deploy");
  button.addEventListener("click", () => deploy(entry, button, problem));
  const open = h("a", { class: "button", href: pageOf({ namespace: NAMESPACE, name: entry.name }), "aria-label": `Open ${entry.title}` }, "Open");
  const more = h("a", { class: "quiet", href: `/ui/deploy?store=${encodeURIComponent(entry.name)}`, "aria-label": `Deploy ${entry.title} with settings` }, "With settings …");
  const state = h("span", { class: "status good" }, "deployed");
  const icon = new URL(entry.icon, location.href).pathname;
  const element = h("li", { class: "card entry", "data-name": entry.name },
    h("img", { src: icon, alt: "", width: 56, height: 56, loading: "lazy" }),
    h("div", { class: "words" }, h("h2", null, entry.title, state), h("p", null, entry.description),
      h("p", { class: "faint small" }, CATEGORIES[entry.category] ?? entry.category, " · ", h("code", null, imageOf(entry)))),
    h("p", { class: "line" }, button, open, more), problem);
  return {
    element,
    update() {
      const there = running.has(entry.name);
      button.hidden = there;
      open.hidden = !there;
      state.hidden = !there;
    },
  };
}

const showCards = list($("cards"), (entry) => entry.name, card);

function chips() {
  const used = Object.entries(CATEGORIES).filter(([name]) => entries.some((entry) => entry.category === name));
  $("categories").replaceChildren(...[["", "All"], ...used].map(([name, title]) => h("button", {
    type: "button",
    "aria-pressed": String(name === category),
    onclick: (event) => {
      category = name;
      for (const chip of $("categories").children) set(chip, "aria-pressed", chip === event.currentTarget ? "true" : "false");
      show();
    },
  }, title)));
}

function show() {
  const found = entries.filter((entry) => (!category || entry.category === category)
    && matches(entry.name, entry.title, entry.description, CATEGORIES[entry.category] ?? ""));
  showCards(found);
  if (entries.length) say($("count"), found.length ? plural(found.length, "function") : "Nothing in the store is called so.");
}

on("functions", (functions) => {
  running = new Map(functions.filter((fn) => fn.namespace === NAMESPACE).map((fn) => [fn.name, fn]));
  show();
});

try {
  entries = await store();
  if (!entries.length) say($("count"), "The store is empty: this bramble's program came without its built-in functions.");
  chips();
  show();
} catch (error) {
  say($("count"), error.message);
}
