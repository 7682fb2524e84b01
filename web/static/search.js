// A search field that keeps its words in the page's address, so that a link or "back" finds the same again.

import { $ } from "./dom.js";

/** Calls `changed` at every change; answers a function that tells whether all words are in one of the texts. */
export function search(changed) {
  const field = $("search");
  field.value = new URLSearchParams(location.search).get("search") ?? "";
  field.addEventListener("input", () => {
    const address = new URL(location.href);
    if (field.value) address.searchParams.set("search", field.value);
    else address.searchParams.delete("search");
    history.replaceState(null, "", address);
    changed();
  });
  return (...texts) => {
    const all = texts.join(" ").toLowerCase();
    return field.value.toLowerCase().split(/\s+/).every((word) => all.includes(word));
  };
}
