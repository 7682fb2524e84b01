// The bramble as a stack of Pis, with the replicas on each, live.

import "../shell.js";
import { $, drawing, h, list, say, set } from "../dom.js";
import { send } from "../api.js";
import { on } from "../live.js";
import { bytes, count, pageOf, plural, rate, status } from "../format.js";
import { byNode, dots, drawn, mark } from "../dots.js";
import { about } from "../about.js";
import { light } from "../light.js";
import { watchLights } from "../lights.js";
import { manage } from "../manage.js";
import { watchMeetings } from "../meeting.js";

const CROWN = "M4 18h16M4 18L3 8l5 4 4-7 4 7 5-4-1 10";
const WARNING = "M12 4l9 16H3zM12 10v4M12 17v.1";
const HOT_C = 80;

let nodes = null;
let functions = null;
/** Warnings that every node has: said once. */
let common = new Set();

/** Whether nothing is heard of a node. */
const isAway = (node) => node.phase === "down" || node.phase === "joining";

/** A bar with its words: `{ element, show(part, words) }`. */
function bar(title) {
  const words = h("span", { class: "value" });
  const filled = h("span", { class: "filled" });
  const element = h("div", { class: "bar" }, h("span", { class: "name" }, title), h("span", { class: "track", "aria-hidden": "true" }, filled), words);
  return {
    element,
    show(part, text, full) {
      filled.style.setProperty("--part", String(Math.max(0, Math.min(1, part || 0))));
      set(filled, "class", full ? "filled full" : "filled");
      say(words, text);
    },
  };
}

/** Has a node go on as the one that it was before its card was flashed anew; `words` say what stands in the way. */
async function replace(id, words) {
  const { name } = nodes.find((node) => node.id === id);
  try {
    await send("POST", `/api/v1/nodes/${encodeURIComponent(name)}/replace`);
  } catch (refusal) {
    say(words, refusal.message);
  }
}

function board(node) {
  const small = /zero/i.test(node.board);
  const name = h("h3", null, node.name);
  const phase = h("span", { class: "status" });
  const master = h("span", { class: "master" }, drawing(CROWN), "master");
  const size = h("p", { class: "faint" });
  const memory = bar("RAM");
  const promised = bar("Promised");
  const load = bar("Load");
  const heat = h("span", { class: "heat" });
  const replicas = h("ul", { class: "dots" });
  const none = h("p", { class: "faint none" });
  const warnings = h("ul", { class: "warnings" });
  const offered = h("span");
  const offer = h("p", { class: "offer" }, offered, " ", h("button", { onclick: () => replace(node.id, offered) }, "It is"));
  const lit = light();
  const told = about();
  const managed = manage();
  const picture = new URL(small ? "../board-zero.svg" : "../board.svg", import.meta.url);
  const element = h("li", { class: "board" },
    h("img", { src: picture.pathname, alt: "", width: 72, height: 48 }),
    h("div", { class: "who" }, h("div", { class: "name" }, name, master, phase, lit.element), size),
    h("div", { class: "gauges" }, memory.element, promised.element, load.element, heat),
    h("div", { class: "load" }, replicas, none),
    warnings,
    offer,
    h("div", { class: "extras" }, told.element, managed.element));
  const showDots = dots(replicas);
  let asked;
  return {
    element,
    update(now) {
      set(element, "class", `board ${now.phase}`);
      say(name, now.name);
      offer.hidden = !now.replaces;
      if (now.replaces !== asked) say(offered, `Seems to be ${now.replaces} with a new card.`);
      asked = now.replaces;
      master.hidden = !now.leader;
      lit.update(now);
      told.update(now);
      managed.update(now);
      say(phase, { up: "up", down: "down", joining: "joining", cordoned: "takes nothing new" }[now.phase]);
      set(phase, "class", `status ${{ up: "good", down: "bad", joining: "busy", cordoned: "warn" }[now.phase]}`);
      say(size, `${now.board.replace("Raspberry ", "")} · ${bytes(now.memory_bytes)} · ${plural(now.cores, "core")}`);
      const heard = now.memory_available_bytes !== undefined && !isAway(now);
      const used = now.memory_bytes - (now.memory_available_bytes ?? 0);
      const part = heard ? used / now.memory_bytes : 0;
      memory.show(part, heard ? `${Math.round(part * 100)} %` : "–", part > 0.9);
      const room = now.memory_for_replicas_bytes;
      const mebibytes = (amount) => Math.round(amount / (1 << 20));
      promised.show(now.memory_requested_bytes / room, `${mebibytes(now.memory_requested_bytes)} of ${mebibytes(room)} MiB`);
      const busy = (now.load ?? 0) / Math.max(1, now.cores);
      load.show(busy, now.load === null || now.load === undefined || isAway(now) ? "–" : now.load.toFixed(2), busy > 1);
      const hot = now.temperature_c;
      heat.hidden = hot === undefined || hot === null;
      say(heat, heat.hidden ? "" : `${Math.round(hot)} °C`);
      set(heat, "class", hot >= HOT_C ? "heat hot" : "heat");
      warnings.replaceChildren(...now.warnings.filter((text) => !common.has(text)).map((text) => h("li", null, drawing(WARNING), text)));
      const here = (functions ?? []).flatMap((fn) => drawn(fn, byNode(fn.placements).get(now.name) ?? []));
      showDots(here);
      say(none, here.length > 0 ? "" : { down: "Unplugged or out of reach; its replicas run elsewhere.", joining: "Was let in; nothing was heard of it yet." }[now.phase] ?? "No replicas");
    },
  };
}

function entry(fn) {
  const dot = mark(h("span", { class: "dot", "aria-hidden": "true" }), fn.name);
  const words = h("span", { class: "status" });
  const ready = h("span", { class: "number" });
  const pace = h("span", { class: "number faint" });
  const element = h("li", null, h("a", { href: pageOf(fn) }, dot, h("b", null, fn.name), words, ready, pace));
  return {
    element,
    update(now) {
      const [text, kind] = status(now.status);
      say(words, text);
      set(words, "class", `status ${kind}`);
      say(ready, `${now.ready} of ${now.replicas ?? 0}`);
      say(pace, rate(now.rate));
    },
  };
}

function figure(title) {
  const value = h("b");
  const words = h("span", null, title);
  const element = h("li", null, value, " ", words);
  return { element, show: (text, name = title) => { say(value, text); say(words, name); } };
}

const numbers = ["nodes", "functions", "replicas", "invocations", "per second"].map(figure);
$("numbers").append(...numbers.map((number) => number.element));
const showStack = list($("stack"), (node) => node.id, board);
const showLegend = list($("legend"), (fn) => `${fn.namespace}/${fn.name}`, entry);

function show() {
  if (nodes) {
    const [first] = nodes;
    common = new Set(nodes.length > 1 ? first.warnings.filter((text) => nodes.every((node) => node.warnings.includes(text))) : []);
    $("everywhere").replaceChildren(...[...common].map((text) => h("li", null, drawing(WARNING), `On every node: ${text}`)));
    showStack(nodes);
    const up = nodes.filter((node) => !isAway(node)).length;
    numbers[0].show(up === nodes.length ? count(up) : `${up} of ${nodes.length}`, up === nodes.length ? (up === 1 ? "node" : "nodes") : "nodes up");
  }
  if (functions) {
    showLegend(functions);
    const sum = (of) => functions.reduce((all, fn) => all + (of(fn) ?? 0), 0);
    numbers[1].show(count(functions.length), functions.length === 1 ? "function" : "functions");
    numbers[2].show(count(sum((fn) => fn.ready)), "replicas ready");
    numbers[3].show(count(sum((fn) => fn.invocationCount)), "invocations");
    numbers[4].show(rate(sum((fn) => fn.rate)).replace("/s", ""));
    $("newcomer").hidden = functions.length > 0;
    $("running").hidden = functions.length === 0;
  }
}

/** Does something about who waits, and says what stands in the way. */
async function decide(path, body) {
  const problem = $("waiting-problem");
  problem.hidden = true;
  try {
    await send("POST", path, body);
  } catch (refusal) {
    say(problem, refusal.message);
    problem.hidden = false;
  }
}

function knocker(node) {
  const admit = h("button", { class: "primary", onclick: () => decide(`/api/v1/waiting/${node.id}/admit`) }, "Admit");
  const replace = h("button", { class: "primary", onclick: () => decide(`/api/v1/waiting/${node.id}/replace`) });
  const refuse = h("button", { onclick: () => decide(`/api/v1/waiting/${node.id}/refuse`) }, "Refuse");
  let identifies = false;
  const identify = h("button", { class: "identify", onclick: () => decide(`/api/v1/waiting/${node.id}/identify`, { seconds: identifies ? 0 : 60 }) });
  const about = h("span", { class: "faint" });
  const element = h("li", { class: "knocker" }, h("b", null, node.name), h("code", { class: "fingerprint" }, node.fingerprint), about, identify, replace, admit, refuse);
  return {
    element,
    update(now) {
      const notes = [now.board.replace("Raspberry ", ""), bytes(now.memory_bytes), now.address];
      if (now.removed) notes.push("was removed before");
      if (now.replaces) notes.push(`seems to be ${now.replaces} with a new card`);
      identifies = now.identifies;
      identify.hidden = now.removed;
      say(identify, identifies ? "Stop" : "Identify");
      replace.hidden = !now.replaces;
      say(replace, `Admit as ${now.replaces}`);
      say(admit, now.replaces ? "Admit as another" : "Admit");
      say(about, notes.join(" · "));
    },
  };
}

const showWaiting = list($("waiting-list"), (node) => `${node.id} ${node.fingerprint}`, knocker);
$("admit-all").addEventListener("click", () => decide("/api/v1/waiting/admit"));

on("waiting", (data) => {
  $("waiting").hidden = data.length === 0;
  $("waiting-all").hidden = data.length < 2;
  showWaiting(data);
});
watchMeetings();
watchLights();
on("nodes", (data) => { nodes = data; show(); });
on("functions", (data) => { functions = data; show(); });
