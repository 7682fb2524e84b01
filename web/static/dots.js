// Replicas as dots in their function's colour: which function by two letters, how it stands by its look, both in words
// for who hears instead of sees.

import { h, list, set, say } from "./dom.js";
import { look, monogram, pageOf, paint } from "./format.js";

/** Most dots drawn for one function on one node; more become a number. */
const MOST = 12;

/** The mark of a function: a dot that says no phase. */
export function mark(element, name) {
  paint(element, name);
  return say(element, monogram(name));
}

/** Counts a function's placements: by node, then by phase. */
export function byNode(placements) {
  const nodes = new Map();
  for (const { node, phase } of placements ?? []) {
    if (!nodes.has(node)) nodes.set(node, []);
    nodes.get(node).push(phase);
  }
  return nodes;
}

const ORDER = ["ready", "starting", "failing", "draining", "frozen", "stopped"];

/** What to draw for these phases of one function on one node: `{ key, fn, phase, more }`. */
export function drawn(fn, phases) {
  const sorted = [...phases].sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
  const dots = sorted.slice(0, MOST).map((phase, place) => ({ key: `${fn.namespace}/${fn.name}/${place}`, fn, phase }));
  if (sorted.length > MOST) dots[MOST - 1].more = sorted.length - MOST;
  return dots;
}

/** Keeps the dots below `parent`; each leads to its function. */
export function dots(parent) {
  return list(parent, (dot) => dot.key, ({ fn }) => {
    const dot = mark(h("a", { class: "dot", href: pageOf(fn) }), fn.name);
    const more = h("span", { class: "more" });
    const element = h("li", null, dot, more);
    return {
      element,
      update({ phase, more: rest }) {
        set(dot, "class", `dot ${look(phase)}${phase === "draining" ? " draining" : ""}`);
        set(dot, "title", `${fn.name}: ${phase}`);
        set(dot, "aria-label", `${fn.name}, ${phase}${rest ? `, and ${rest} more` : ""}`);
        say(more, rest ? `+${rest}` : "");
      },
    };
  });
}
