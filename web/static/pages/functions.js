// All functions: how each stands and why.

import "../shell.js";
import { $, h, list, say, set } from "../dom.js";
import { on } from "../live.js";
import { count, pageOf, plural, rate, status } from "../format.js";
import { mark } from "../dots.js";
import { search } from "../search.js";

let functions = null;
const matches = search(show);

function row(fn) {
  const dot = mark(h("span", { class: "dot", "aria-hidden": "true" }), fn.name);
  const words = h("span", { class: "status" });
  const sentence = h("span", { class: "sentence" });
  const image = h("code");
  const cells = ["replicas", "invocations", "rate"].map((title) => {
    const value = h("b");
    return { value, cell: h("span", { class: "cell" }, value, h("span", { class: "faint" }, title)) };
  });
  const namespace = fn.namespace === "openfaas-fn" ? null : h("span", { class: "faint" }, ` in ${fn.namespace}`);
  const element = h("li", null, h("a", { class: "row", href: pageOf(fn) }, dot,
    h("span", { class: "who" }, h("span", { class: "name" }, h("b", null, fn.name), namespace, words), sentence, image),
    h("span", { class: "cells" }, cells.map(({ cell }) => cell))));
  return {
    element,
    update(now) {
      const [text, kind] = status(now.status);
      say(words, text);
      set(words, "class", `status ${kind}`);
      say(sentence, now.sentence);
      say(image, now.image);
      say(cells[0].value, `${now.ready}/${now.replicas ?? 0}`);
      say(cells[1].value, count(now.invocationCount));
      say(cells[2].value, rate(now.rate));
    },
  };
}

const showRows = list($("list"), (fn) => `${fn.namespace}/${fn.name}`, row);

function show() {
  if (!functions) return;
  const found = functions.filter((fn) => matches(fn.name, fn.namespace, fn.image, fn.status, fn.sentence));
  showRows(found);
  $("newcomer").hidden = functions.length > 0;
  const all = plural(functions.length, "function");
  say($("count"), found.length === functions.length ? (functions.length ? all : "") : `${found.length} of ${all}`);
}

on("functions", (data) => { functions = data; show(); });
