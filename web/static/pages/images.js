// What images there are, which nodes hold them, which functions use them.

import "../shell.js";
import { $, h, list, notify, say, set } from "../dom.js";
import { on } from "../live.js";
import { Refusal, get, send } from "../api.js";
import { bytes, plural } from "../format.js";
import { search } from "../search.js";
import { sure } from "../sure.js";

let images = null;
const matches = search(show);

function row(image) {
  const size = h("b");
  const nodes = h("b");
  const built = h("span", { class: "status" });
  const use = h("span", { class: "sentence" });
  const platforms = h("span", { class: "faint small" });
  const problem = h("span", { class: "problem", role: "alert" });
  const remove = h("button", { type: "button", "data-needs": "change_functions", "aria-label": `Remove ${image.name}` }, "Remove");
  const deploy = h("a", { class: "button", href: `/ui/deploy?image=${encodeURIComponent(image.name)}`, "aria-label": `Deploy ${image.name}` }, "Deploy");
  // Asked twice, since an image that came by hand cannot be fetched again.
  sure(remove, "Really remove?", async () => {
    try {
      await send("DELETE", `/api/v1/images?name=${encodeURIComponent(image.name)}`);
      notify(`${image.name} is removed.`);
      await load();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      say(problem, error.message);
    }
  });
  const element = h("li", null, h("div", { class: "row" },
    h("span", { class: "who" }, h("span", { class: "name" }, h("b", null, image.name), built), use, platforms, problem),
    h("span", { class: "cells" }, h("span", { class: "cell" }, size, h("span", { class: "faint" }, "size")), h("span", { class: "cell" }, nodes, h("span", { class: "faint" }, "nodes"))),
    h("span", { class: "line" }, deploy, remove)));
  return {
    element,
    update(now) {
      say(size, bytes(now.size_bytes));
      say(nodes, now.nodes.length);
      set(nodes, "title", now.nodes.join(", "));
      say(built, now.built_in ? "built in" : "");
      set(built, "class", now.built_in ? "status rest" : "");
      say(use, now.used_by.length ? `Used by ${now.used_by.join(", ")}` : "Not used");
      say(platforms, `${now.platforms.join(", ")} · ${now.nodes.join(", ")}`);
      remove.hidden = now.built_in || now.used_by.length > 0;
    },
  };
}

const showRows = list($("list"), (image) => `${image.name} ${image.digest}`, row);

function show() {
  if (!images) return;
  const found = images.filter((image) => matches(image.name, image.used_by.join(" "), image.nodes.join(" "), image.platforms.join(" ")));
  showRows(found);
  say($("count"), images.length === 0 ? "No node holds an image yet." : `${plural(found.length, "image")}`);
}

async function load() {
  try {
    // Those that somebody brought first, then those in use, then what is always there.
    const order = (image) => (image.built_in ? 2 : 0) + (image.used_by.length ? 0 : 1);
    images = (await get("/api/v1/images")).sort((a, b) => order(a) - order(b) || (a.name < b.name ? -1 : 1));
    show();
  } catch (error) {
    say($("count"), error.message);
  }
}

// Big files show how far they are: fetch does not tell, XMLHttpRequest does.
$("push").addEventListener("submit", (event) => {
  event.preventDefault();
  const [file] = event.target.elements.file.files;
  if (!file) return say($("pushed"), "Choose a file first.");
  const request = new XMLHttpRequest();
  request.open("POST", "/api/v1/images");
  request.upload.onprogress = ({ loaded, total }) => say($("pushed"), `${Math.round((loaded / total) * 100)} % of ${bytes(total)}`);
  request.onerror = () => say($("pushed"), "The connection broke off. Try again.");
  request.onload = () => {
    let answer = {};
    try {
      answer = JSON.parse(request.responseText);
    } catch {
      answer = { error: request.responseText };
    }
    if (request.status === 200) {
      say($("pushed"), `${answer.images.join(", ")} ${answer.images.length === 1 ? "is" : "are"} on ${answer.node}.`);
      load();
    } else {
      say($("pushed"), answer.error || `The bramble answers ${request.status}.`);
    }
  };
  request.setRequestHeader("content-type", "application/x-tar");
  request.send(file);
  return say($("pushed"), "Sending …");
});

// Nodes take images up as replicas start: looked again whenever functions change.
let known = null;
on("functions", (functions) => {
  const now = functions.map((fn) => `${fn.image} ${fn.nodes}`).join();
  if (now !== known) load();
  known = now;
});
