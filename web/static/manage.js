// What can be said of a node: its name, whether it should be a controller, whether it takes anything new, which of its
// devices functions may use. And putting it out.
//
// Nothing is done before somebody saves it. What a person has changed stays as it is while news come in; all else
// follows the news.

import { h, notify, say, set } from "./dom.js";
import { send, whoami } from "./api.js";
import { sure } from "./sure.js";

const WISHES = { none: "as fits", pinned: "always", excluded: "never" };

/** Has a control follow the news, until a person says otherwise: `{ differs(), hear(now) }`. */
function follower(control, property) {
  let heard = control[property];
  return {
    differs: () => control[property] !== heard,
    hear(now) {
      if (control[property] === heard && control[property] !== now) control[property] = now;
      heard = now;
    },
  };
}

/** Which devices of a node functions may use, one box for each that it offers or that was allowed: `{ element, differs(), chosen(), hear(node) }`. */
function devices() {
  const boxes = h("div", { class: "line" });
  const element = h("fieldset", { hidden: true }, h("legend", null, "Functions may use"), boxes);
  const rows = new Map();
  const all = (test) => [...rows].filter(([, row]) => test(row)).map(([name]) => name);
  return {
    element,
    differs: () => all((row) => row.follows.differs()).length > 0,
    chosen: () => all((row) => row.box.checked),
    hear(node) {
      const named = new Set([...(node.devices ?? []), ...(node.devices_allowed ?? [])]);
      element.hidden = named.size === 0;
      for (const name of named) {
        if (rows.has(name)) continue;
        const box = h("input", { type: "checkbox", name: "device", value: name });
        const label = h("label", { class: "check" }, box, name);
        boxes.append(label);
        rows.set(name, { box, label, follows: follower(box, "checked") });
      }
      for (const [name, { box, label, follows }] of rows) {
        follows.hear((node.devices_allowed ?? []).includes(name));
        label.hidden = !named.has(name) && !box.checked;
      }
    },
  };
}

/** `{ element, update(node) }`. */
export function manage() {
  let node;
  const name = h("input", { name: "name", maxlength: 63, required: true, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const wish = h("select", { name: "wish" }, Object.entries(WISHES).map(([value, words]) => h("option", { value }, words)));
  const cordoned = h("input", { name: "cordoned", type: "checkbox" });
  const allowed = devices();
  const problem = h("p", { class: "problem", role: "alert" });
  const remove = h("button", { type: "button" }, "Remove");
  const form = h("form", null,
    h("label", { class: "field" }, "Name", name),
    h("label", { class: "field" }, "Controller", wish),
    h("label", { class: "check" }, cordoned, "Takes nothing new"),
    allowed.element,
    problem,
    h("p", { class: "line" }, h("button", { class: "primary" }, "Save"), remove));
  const summary = h("summary", null, "Manage");
  const element = h("details", { class: "manage", "data-needs": "change_nodes", hidden: true }, summary, form);
  const names = follower(name, "value");
  const wishes = follower(wish, "value");
  const cordons = follower(cordoned, "checked");
  // The page may have asked who is signed in before this was there.
  whoami().then((who) => { element.hidden = !who?.permissions?.includes("change_nodes"); });

  /** Marks what would be lost with the page. */
  const mark = () => form.toggleAttribute("data-typed", names.differs() || wishes.differs() || cordons.differs() || allowed.differs());

  /** Does it, and says what stands in the way. */
  async function attempt(what) {
    say(problem, "");
    try {
      await what((method, path, body) => send(method, `/api/v1/nodes/${encodeURIComponent(node.name)}${path}`, body));
    } catch (refusal) {
      say(problem, refusal.message);
    }
  }

  form.addEventListener("input", mark);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async (ask) => {
      if (wishes.differs()) await ask("PUT", "/controller", { wish: wish.value });
      if (cordons.differs()) await ask("POST", cordoned.checked ? "/cordon" : "/uncordon");
      if (allowed.differs()) await ask("PUT", "/devices", { allow: allowed.chosen() });
      // Comes last: the node is asked for by the name that it has.
      if (names.differs()) await ask("PUT", "/name", { name: name.value });
      notify(`Saved: ${name.value}.`);
    });
  });
  sure(remove, "Really put it out?", () => attempt(async (ask) => {
    const called = node.name;
    await ask("DELETE", "");
    notify(`${called} is removed.`);
  }));
  return {
    element,
    update(now) {
      node = now;
      names.hear(now.name);
      wishes.hear(now.wish);
      cordons.hear(now.cordoned);
      allowed.hear(now);
      mark();
      set(summary, "aria-label", `Manage ${now.name}`);
    },
  };
}
