// What every page has: the button for the colours, and hiding what the person who is signed in may not do.

import { $ } from "./dom.js";
import { whoami } from "./api.js";

const NEXT = { "": "dark", dark: "light", light: "" };
const WORDS = { "": "Colours: as this device", dark: "Colours: dark", light: "Colours: light" };

const button = $("theme");

function show() {
  const words = WORDS[document.documentElement.dataset.theme ?? ""];
  button.setAttribute("aria-label", words);
  button.title = words;
}

button.addEventListener("click", () => {
  const next = NEXT[document.documentElement.dataset.theme ?? ""];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  try {
    if (next) localStorage.setItem("bramble-theme", next);
    else localStorage.removeItem("bramble-theme");
  } catch {
    // Then it lasts until the page is left.
  }
  show();
});
show();

whoami().then((session) => {
  if (!session) return;
  for (const element of document.querySelectorAll("[data-needs]")) {
    element.hidden = !session.permissions.includes(element.dataset.needs);
  }
});
