// How all lights shine: read when somebody opens the panel, changed with one press.

import { $, notify, say } from "./dom.js";
import { get, send } from "./api.js";

const NIGHT = ["22:00", "07:00"];

const words = () => say($("brightness-words"), Number($("brightness").value) === 0 ? "dark" : `${$("brightness").value} %`);

function fill({ brightness, quiet }) {
  $("brightness").value = brightness;
  words();
  $("quiet").checked = Boolean(quiet);
  [$("quiet-from").value, $("quiet-until").value] = quiet ? quiet.split("-") : NIGHT;
  $("quiet-hours").hidden = !quiet;
}

/** Does it, and says what stands in the way. */
async function attempt(what) {
  say($("lights-problem"), "");
  try {
    await what();
  } catch (refusal) {
    say($("lights-problem"), refusal.message);
  }
}

/** Lets people change it on this page. */
export function watchLights() {
  $("lights").addEventListener("toggle", () => {
    if ($("lights").open) attempt(async () => fill(await get("/api/v1/lights")));
  });
  $("brightness").addEventListener("input", words);
  $("quiet").addEventListener("change", () => { $("quiet-hours").hidden = !$("quiet").checked; });
  $("lights-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const settings = { brightness: Number($("brightness").value) };
      if ($("quiet").checked) settings.quiet = `${$("quiet-from").value}-${$("quiet-until").value}`;
      await send("PUT", "/api/v1/lights", settings);
      notify("All lights shine like this from now on.");
    });
  });
}
