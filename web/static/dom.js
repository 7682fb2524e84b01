// Making and changing elements. Data becomes text or attributes, never HTML: the page's policy forbids the latter.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** An element `name` with attributes (`on…` are listeners; absent ones may be null) and children. */
export const h = (name, attributes, ...children) => filled(document.createElement(name), attributes, children);

/** A drawing of 24 by 24 from one path. */
export function drawing(path) {
  const svg = filled(document.createElementNS(SVG, "svg"), { viewBox: "0 0 24 24", "aria-hidden": "true" }, []);
  svg.append(filled(document.createElementNS(SVG, "path"), { d: path }, []));
  return svg;
}

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/** Makes `element` say `text`; leaves it alone where it does, so that nothing is read out or selected anew. */
export function say(element, text) {
  const words = text === undefined || text === null ? "" : String(text);
  if (element.textContent !== words) element.textContent = words;
  return element;
}

/** Sets an attribute where it changed; takes it off for null and false. */
export function set(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? "" : value);
  return element;
}

/**
 * Keeps the children of `parent` as the items given to the function that it answers. `make(item)` answers
 * `{ element, update(item) }`; elements stay while their key is there, with focus and selection.
 */
export function list(parent, keyOf, make) {
  let rows = new Map();
  parent.replaceChildren();
  return (items) => {
    const next = new Map();
    for (const item of items) {
      const key = keyOf(item);
      const row = rows.get(key) ?? make(item);
      row.update?.(item);
      next.set(key, row);
    }
    for (const [key, row] of rows) if (!next.has(key)) row.element.remove();
    rows = next;
    const all = [...next.values()].map((row) => row.element);
    // Whatever is moved loses the focus, so all others are put around the one that somebody is in.
    let fixed = all.findIndex((element) => element.contains(document.activeElement));
    if (fixed < 0) fixed = all.findIndex((element) => element.parentNode === parent);
    if (fixed < 0) {
      parent.append(...all);
      return;
    }
    for (let at = fixed - 1; at >= 0; at -= 1) {
      if (all[at].nextElementSibling !== all[at + 1]) parent.insertBefore(all[at], all[at + 1]);
    }
    for (let at = fixed + 1; at < all.length; at += 1) {
      if (all[at].previousElementSibling !== all[at - 1]) parent.insertBefore(all[at], all[at - 1].nextElementSibling);
    }
  };
}

/** A notice that goes by itself, read out by screen readers. */
export function notify(text, kind = "good") {
  const notice = h("p", { class: `notice ${kind}` }, text);
  document.getElementById("notices").append(notice);
  setTimeout(() => notice.remove(), 6000);
}
