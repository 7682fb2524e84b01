// A function's answer, shown so that it can do nothing: text as text, pictures and sounds by their bytes. HTML is
// shown as its text, and as a preview in a frame that runs no script and is of no origin.

import { h } from "./dom.js";
import { bytes, milliseconds } from "./format.js";

/** Most of a text that is shown; the rest is there to download. */
const SHOWN_CHARACTERS = 100_000;

/** Most that is kept of an answer, in bytes: phones have little memory. */
export const MOST_BYTES = 64 << 20;

const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/avif", "image/svg+xml"];

const preview = globalThis.trustedTypes?.createPolicy("preview", { createHTML: (text) => text });

/** Reads a body up to MOST_BYTES; answers the bytes, and whether that is all of it. */
export async function collect(body) {
  const parts = [];
  let size = 0;
  const reader = body?.getReader();
  for (;;) {
    const { done, value } = reader ? await reader.read() : { done: true };
    if (done) return { blob: new Blob(parts), size, whole: true };
    parts.push(value);
    size += value.length;
    if (size >= MOST_BYTES) {
      await reader.cancel();
      return { blob: new Blob(parts), size, whole: false };
    }
  }
}

function textual(type, essence) {
  return /^text\//.test(essence) || /[/+](json|xml|x-ndjson|javascript|yaml|x-yaml|toml|x-www-form-urlencoded)$/.test(essence) || type === "";
}

/** The text of these bytes, or null where they are none. */
async function decoded(blob) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await blob.arrayBuffer());
  } catch {
    return null;
  }
}

function cut(text) {
  const pre = h("pre", { tabindex: 0, "aria-label": "The answer's text" }, text.slice(0, SHOWN_CHARACTERS));
  if (text.length <= SHOWN_CHARACTERS) return [pre];
  return [pre, h("p", { class: "faint" }, `Cut after ${SHOWN_CHARACTERS.toLocaleString("en")} characters; download it to see all.`)];
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}

/** Two ways to look at one thing. */
function either(first, one, second, other) {
  const buttons = [first, second].map((title, place) => h("button", { type: "button", "aria-pressed": String(place === 0) }, title));
  const parts = [h("div", null, one), h("div", { hidden: true }, other)];
  buttons.forEach((button, place) => button.addEventListener("click", () => {
    buttons.forEach((each, at) => each.setAttribute("aria-pressed", String(at === place)));
    parts.forEach((part, at) => { part.hidden = at !== place; });
  }));
  return [h("div", { class: "chips", role: "group", "aria-label": "View" }, buttons), ...parts];
}

function framed(text) {
  const frame = h("iframe", { sandbox: "", title: "Preview of the answer, without scripts", referrerpolicy: "no-referrer" });
  frame.srcdoc = preview ? preview.createHTML(text) : text;
  return frame;
}

async function shown(blob, type, address, open) {
  const essence = type.split(";")[0].trim().toLowerCase();
  if (blob.size === 0) return [h("p", { class: "faint" }, "The answer is empty.")];
  if (PICTURES.includes(essence)) return [h("img", { class: "picture", src: address, alt: "The answer as a picture" })];
  if (essence.startsWith("audio/")) return [h("audio", { controls: true, src: address })];
  if (essence.startsWith("video/")) return [h("video", { controls: true, src: address })];
  const text = await decoded(blob);
  if (text === null || (!textual(type, essence) && /[\0-\x08]/.test(text))) return [h("p", { class: "faint" }, `Bytes that are no text (${essence || "of no said type"}).`)];
  if (essence === "text/html" || essence === "application/xhtml+xml") {
    const link = open ? [h("p", null, h("a", { class: "button", href: open, target: "_blank", rel: "noopener noreferrer" }, "Open as a page of its own"))] : [];
    return [...link, ...either("Text", cut(text), "Preview", [framed(text), h("p", { class: "faint" }, "Without its scripts and styles.")])];
  }
  const neat = essence.endsWith("json") || /^\s*[[{]/.test(text) ? pretty(text) : null;
  if (neat !== null && neat !== text.trim()) return either("Neat", cut(neat), "As sent", cut(text));
  return cut(text);
}

const kind = (code) => (code < 300 ? "good" : code < 400 ? "rest" : code < 500 ? "warn" : "bad");

/** A file's name for an answer of this type. */
function fileName(name, type) {
  const essence = type.split(";")[0].trim().toLowerCase();
  const known = { "text/plain": "txt", "text/html": "html", "image/jpeg": "jpg", "image/svg+xml": "svg", "audio/wav": "wav", "audio/x-wav": "wav", "application/octet-stream": "bin" };
  const [, guess = ""] = essence.split("/");
  return `${name}.${known[essence] ?? (/^[a-z0-9]{2,5}$/.test(guess) ? guess : "bin")}`;
}

/**
 * Shows an answer below `parent`. `open` is where the same page can be had by itself, if it can. Answers what frees
 * the memory that it takes.
 */
export async function showAnswer(parent, { name, answer, body, took, open }) {
  const type = answer.headers.get("content-type") ?? "";
  const blob = new Blob([body.blob], { type: type.split(";")[0] });
  const address = URL.createObjectURL(blob);
  const node = answer.headers.get("x-bramble-node");
  const headers = [...answer.headers.entries()].map(([key, value]) => h("tr", null, h("th", { scope: "row" }, key), h("td", null, value)));
  parent.replaceChildren(
    h("p", { class: "result", role: "status" },
      h("span", { class: `status ${kind(answer.status)}` }, `${answer.status} ${answer.statusText}`.trim()),
      h("b", { class: "took" }, milliseconds(took)),
      node ? h("span", { class: "by" }, "answered by ", h("b", { class: "node" }, node)) : h("span", { class: "by" }, "answered by the gateway"),
      h("span", { class: "faint" }, bytes(body.size))),
    ...(body.whole ? [] : [h("p", { class: "problem" }, `Cut after ${bytes(MOST_BYTES)}: too much for this page.`)]),
    h("div", { class: "content" }, await shown(blob, type, address, open)),
    h("div", { class: "line" }, h("a", { class: "button", href: address, download: fileName(name, type) }, "Download")),
    h("details", null, h("summary", null, `Headers (${headers.length})`), h("div", { class: "wide" }, h("table", null, h("tbody", null, headers)))));
  return () => URL.revokeObjectURL(address);
}
