// One function: how it stands, trying it, its replicas, logs and settings.

import "../shell.js";
import { $, h, list, notify, say, set } from "../dom.js";
import { on } from "../live.js";
import { Refusal, get, imageOf, send, store } from "../api.js";
import { count, status } from "../format.js";
import { byNode, dots, drawn, mark } from "../dots.js";
import { events } from "../events.js";
import { invokePanel } from "../invoke.js";
import { logView } from "../logs.js";
import { specForm } from "../spec-form.js";
import { tabs } from "../tabs.js";

const { name, namespace } = $("function").dataset;
const full = { name, namespace };
const DETAILS_EVERY_MS = 1000;

let summary = null;
let settled = false;

mark($("mark"), name);
const showEvents = events($("events"));
let known;
const ready = new Promise((resolve) => { known = resolve; });
const panel = invokePanel($("invoke"), $("answer"), { ...full, ready });
const logs = logView({ place: $("lines"), state: $("log-state"), pause: $("pause"), clear: $("clear") }, full);
const spec = specForm($("spec"), {
  button: "Change",
  locked: true,
  async send(deployment) {
    await send("PUT", "/system/functions", deployment);
    notify(`${name} is changed; its replicas follow one after the other.`);
  },
});

// Where its replicas are, at a glance.
const showWhere = list($("where"), ({ node }) => node, ({ node }) => {
  const replicas = h("ul", { class: "dots" });
  const show = dots(replicas);
  const element = h("li", null, h("span", { class: "node" }, node), replicas);
  return { element, update: ({ phases }) => show(drawn(full, phases)) };
});

const showPlacements = list($("placements"), ({ replica }) => replica, () => {
  const cells = [h("td"), h("td"), h("td"), h("td", { class: "number" }), h("td")];
  const [replica, node, phase, restarts, address] = cells;
  const words = h("span", { class: "status" });
  const reason = h("span", { class: "note" });
  phase.append(words, reason);
  return {
    element: h("tr", null, cells),
    update(now) {
      say(replica, now.replica);
      say(node, now.node);
      say(words, now.phase);
      set(words, "class", `status ${{ ready: "good", starting: "busy", failing: "bad" }[now.phase] ?? "rest"}`);
      say(reason, now.reason);
      say(restarts, now.restarts);
      say(address, now.address ?? "");
    },
  };
});

// How it stands: the summary comes by the stream of events, the details are asked for when it changes.
function showSummary(fn) {
  const gone = !fn;
  $("function").hidden = gone;
  $("gone").hidden = !gone;
  if (gone) return;
  const [text, kind] = status(fn.status);
  say($("status"), text);
  set($("status"), "class", `status ${kind}`);
  say($("sentence"), fn.sentence);
  say($("image"), fn.image);
  if (document.activeElement !== $("wanted") && !("typed" in $("wanted").dataset)) $("wanted").value = String(fn.replicas ?? 0);
  showWhere([...byNode(fn.placements)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([node, phases]) => ({ node, phases })));
}

function showDetails(fn) {
  showPlacements(fn.placements);
  const why = fn.why ?? fn.sentences;
  $("why").replaceChildren(...why.map((sentence) => h("li", null, sentence)));
  const codes = Object.entries(fn.invocations_by_code ?? {});
  say($("codes"), codes.length ? `Invocations by status: ${codes.map(([code, times]) => `${code}: ${count(times)}`).join(", ")}` : "Not invoked yet.");
  showEvents(fn.events);
  if (!settled) {
    settled = true;
    spec.show(fn);
    prefill(fn).finally(known);
  } else {
    spec.follow(fn);
  }
}

/** What the store says about trying it. */
async function prefill(fn) {
  try {
    const entry = (await store()).find((one) => imageOf(one) === fn.image);
    if (entry?.example && !("typed" in $("invoke").dataset)) panel.example(entry.example);
  } catch {
    // Without a store there is no example, and all else works.
  }
}

let asked = 0;
let again;
function details() {
  clearTimeout(again);
  const wait = asked + DETAILS_EVERY_MS - performance.now();
  if (wait > 0) {
    again = setTimeout(details, wait);
    return;
  }
  asked = performance.now();
  get(`/api/v1/functions/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`).then(showDetails, () => {});
}

on("functions", (functions) => {
  const now = functions.find((fn) => fn.name === name && fn.namespace === namespace);
  const changed = JSON.stringify(now) !== JSON.stringify(summary);
  summary = now;
  showSummary(now);
  if (now && changed) details();
});
// Why it is as it is may change with a node alone.
let phases = "";
on("nodes", (nodes) => {
  const now = nodes.map((node) => `${node.name} ${node.phase}`).join();
  if (now !== phases && summary) details();
  phases = now;
});

// Scaling.
async function scale(replicas) {
  $("wanted").value = String(replicas);
  delete $("wanted").dataset.typed;
  try {
    await send("POST", `/system/scale-function/${name}?namespace=${encodeURIComponent(namespace)}`, { serviceName: name, namespace, replicas });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    notify(error.message, "bad");
    $("wanted").value = String(summary?.replicas ?? 0);
  }
}
const wanted = () => Number.parseInt($("wanted").value, 10);
$("wanted").addEventListener("input", () => { $("wanted").dataset.typed = ""; });
$("wanted").addEventListener("blur", () => {
  if ("typed" in $("wanted").dataset) $("scale").requestSubmit();
});
$("scale").addEventListener("submit", (event) => {
  event.preventDefault();
  if (Number.isInteger(wanted()) && wanted() >= 0) scale(wanted());
  else $("wanted").value = String(summary?.replicas ?? 0);
});
$("fewer").addEventListener("click", () => scale(Math.max(0, (wanted() || 0) - 1)));
$("more").addEventListener("click", () => scale((wanted() || 0) + 1));

// Removing, after its name was typed.
$("confirm").addEventListener("input", () => {
  $("remove").querySelector("button").disabled = $("confirm").value !== name;
});
$("remove").addEventListener("submit", async (event) => {
  event.preventDefault();
  if ($("confirm").value !== name) return;
  try {
    await send("DELETE", `/system/functions?namespace=${encodeURIComponent(namespace)}`, { functionName: name, namespace });
    location.assign("/ui/functions");
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    say($("remove-problem"), error.message);
  }
});

tabs(document.querySelector("[role=tablist]"), (panelName) => {
  if (panelName === "logs") logs.start();
  else logs.stop();
});
