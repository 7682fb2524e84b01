// What happened, the newest first.

import "../shell.js";
import { $, say } from "../dom.js";
import { on } from "../live.js";
import { get } from "../api.js";
import { events } from "../events.js";
import { plural } from "../format.js";
import { search } from "../search.js";

const MORE = 1000;

let older = [];
let newest = null;
const matches = search(show);
const showEvents = events($("events"));

/** The newest, and those older ones that were asked for. */
function all() {
  if (!older.length) return newest ?? [];
  const known = new Set(older.map((event) => `${event.time} ${event.text}`));
  return [...(newest ?? []).filter((event) => !known.has(`${event.time} ${event.text}`)), ...older];
}

function show() {
  if (!newest) return;
  const found = all().filter((event) => matches(event.actor, event.text));
  showEvents(found);
  say($("count"), found.length ? plural(found.length, "event") : "Nothing of the kind happened.");
}

$("more").addEventListener("click", async () => {
  try {
    older = await get(`/api/v1/activity?limit=${MORE}`);
    $("more").hidden = true;
    show();
  } catch (error) {
    say($("count"), error.message);
  }
});

on("activity", (data) => { newest = data; show(); });
