// Tabs, one of which is chosen; which one is in the page's address.

import { $, set } from "./dom.js";

/** Arranges the tabs of `strip`; calls `chosen(name)` with the id of the panel that is shown. */
export function tabs(strip, chosen) {
  const all = [...strip.children];
  const panelOf = (tab) => tab.getAttribute("aria-controls");

  function choose(tab, focus) {
    for (const each of all) {
      const is = each === tab;
      set(each, "aria-selected", String(is));
      each.tabIndex = is ? 0 : -1;
      $(panelOf(each)).hidden = !is;
    }
    if (focus) tab.focus();
    chosen(panelOf(tab));
  }

  const named = () => all.find((tab) => `#${panelOf(tab)}` === location.hash) ?? all[0];
  for (const tab of all) {
    tab.addEventListener("click", () => {
      history.replaceState(null, "", `#${panelOf(tab)}`);
      choose(tab);
    });
  }
  strip.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = all.indexOf(document.activeElement);
    const next = all[(at + step + all.length) % all.length];
    history.replaceState(null, "", `#${panelOf(next)}`);
    choose(next, true);
  });
  addEventListener("hashchange", () => choose(named()));
  choose(named());
}
