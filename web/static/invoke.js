// Invokes a function from the portal and shows what comes back and who answered.
//
// The request carries no session (`credentials: omit`): what a function gets is what is written here.

import { h, say, set } from "./dom.js";
import { collect, showAnswer } from "./answer.js";
import { milliseconds } from "./format.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"];
const TYPES = ["text/plain", "application/json", "text/markdown", "text/csv", "application/x-www-form-urlencoded", "application/octet-stream", "image/png", "image/jpeg"];
const BODILESS = ["GET", "HEAD"];
const LAST_ANSWERS = 8;
const DEFAULT_NAMESPACE = "openfaas-fn";

/** Bytes of base64 text. */
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Lines `Name: value` as pairs; throws in words where one is none. */
function headersOf(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
    const at = line.indexOf(":");
    if (at < 1) throw new Error(`This header is no "Name: value": ${line}`);
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  });
}

/**
 * Fills `form` for the function and shows answers in `place`. Answers `{ example(example) }`, which fills it in; who
 * presses before it is known that there is one waits for `ready`.
 */
export function invokePanel(form, place, { name, namespace, ready }) {
  const base = namespace === DEFAULT_NAMESPACE ? `/function/${name}` : `/function/${name}.${namespace}`;
  let prepared = null;
  let running = null;
  let free = () => {};

  const labelled = (title, input, hint) => h("div", { class: "field" }, h("label", { for: input.id }, title), input, hint);
  const plain = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
  const method = h("select", { id: "method", name: "method" }, METHODS.map((one) => h("option", { selected: one === "POST" }, one)));
  const path = h("input", { id: "path", name: "path", placeholder: "/path?query", ...plain });
  const kind = h("select", { id: "kind", name: "kind" }, h("option", { value: "text" }, "Text"), h("option", { value: "file" }, "A file"));
  const text = h("textarea", { id: "body", name: "body", rows: 5, spellcheck: "false", "aria-label": "Body" });
  const file = h("input", { id: "file", name: "file", type: "file", "aria-label": "File to send" });
  const sample = h("p", { class: "faint", hidden: true });
  const type = h("input", { id: "type", name: "type", list: "types", placeholder: "text/plain", ...plain });
  const headers = h("textarea", { id: "headers", name: "headers", rows: 2, placeholder: "X-Name: value", ...plain });
  const body = h("div", { class: "body" },
    h("div", { class: "pairline" }, labelled("Body", kind), labelled("Content type", type)), text, file, sample,
    h("datalist", { id: "types" }, TYPES.map((one) => h("option", { value: one }))));
  const more = h("details", null, h("summary", null, "Headers"), labelled("One per line", headers));
  const send = h("button", { class: "primary", id: "send" }, "Invoke");
  const stop = h("button", { type: "button", hidden: true }, "Stop");
  const problem = h("p", { class: "problem", role: "alert" });
  const last = h("ol", { class: "last", "aria-label": "Last answers" });

  form.replaceChildren(
    h("div", { class: "request" }, labelled("Method", method), h("div", { class: "field" }, h("label", { for: "path" }, "Path and query"),
      h("div", { class: "address" }, h("span", { class: "faint", title: base }, base), path))),
    body, more, problem, h("div", { class: "line" }, send, stop), last);

  function arrange() {
    body.hidden = BODILESS.includes(method.value);
    text.hidden = kind.value !== "text";
    file.hidden = kind.value !== "file";
    sample.hidden = kind.value !== "example";
  }
  method.addEventListener("change", arrange);
  kind.addEventListener("change", arrange);
  form.addEventListener("input", () => { form.dataset.typed = ""; });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  arrange();

  function request() {
    const made = { method: method.value, headers: headersOf(headers.value), credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer" };
    if (!BODILESS.includes(method.value)) {
      if (kind.value === "file" && !file.files.length) throw new Error("Choose a file first.");
      made.body = { text: () => text.value, file: () => file.files[0], example: () => prepared }[kind.value]();
      const chosen = type.value.trim() || (kind.value === "file" ? file.files[0].type : "");
      if (chosen) made.headers.push(["content-type", chosen]);
    }
    return made;
  }

  function remember(status, took, node) {
    last.prepend(h("li", null, h("span", { class: status < 400 ? "good" : "bad" }, status), ` ${milliseconds(took)} `, h("span", { class: "faint" }, node ?? "gateway")));
    while (last.children.length > LAST_ANSWERS) last.lastElementChild.remove();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) return;
    say(problem, "");
    running = new AbortController();
    set(send, "aria-busy", true);
    say(send, "Waiting …");
    stop.hidden = false;
    try {
      if (!("typed" in form.dataset)) await ready;
      const suffix = path.value.trim();
      const address = base + (suffix === "" || /^[/?]/.test(suffix) ? suffix : `/${suffix}`);
      const began = performance.now();
      const answer = await fetch(address, { ...request(), signal: running.signal });
      const received = await collect(answer.body);
      const took = performance.now() - began;
      free();
      free = await showAnswer(place, { name, answer, body: received, took, open: method.value === "GET" ? address : null });
      place.scrollIntoView({ block: "nearest" });
      remember(answer.status, took, answer.headers.get("x-bramble-node"));
      delete form.dataset.typed;
    } catch (error) {
      const words = error.name === "AbortError" ? "Stopped. The function may still finish what it began."
        : error instanceof TypeError ? "No answer came: the connection broke off, the function leads to another address, or the request is none that browsers send." : error.message;
      say(problem, words);
    } finally {
      running = null;
      set(send, "aria-busy", null);
      say(send, "Invoke");
      stop.hidden = true;
    }
  });
  stop.addEventListener("click", () => running?.abort());

  return {
    example(given) {
      method.value = given.method;
      path.value = (given.path ?? "") + (given.query ? `?${given.query}` : "");
      type.value = given.content_type ?? "";
      headers.value = Object.entries(given.headers ?? {}).map(([key, value]) => `${key}: ${value}`).join("\n");
      if (headers.value) more.open = true;
      if (given.body_base64) {
        prepared = bytesOf(given.body_base64);
        kind.append(h("option", { value: "example" }, "The example"));
        kind.value = "example";
        say(sample, `A prepared file of ${prepared.length} bytes.`);
      } else {
        text.value = given.body ?? "";
      }
      arrange();
    },
  };
}
