// The form for what a function is: every field of a deployment, for deploying and for changing one.

import { h, say, set } from "./dom.js";
import { get } from "./api.js";

/** Which part of the form a word in the server's refusal is about. */
const ABOUT = [
  [/^service\b/, "service"], [/^namespace\b/, "namespace"], [/^image\b/, "image"], [/^envProcess\b/, "envProcess"],
  [/^envVars\b/, "envVars"], [/^constraint/, "constraints"], [/^label/, "labels"], [/^annotation/, "annotations"],
  [/secret/, "secrets"], [/^limits\.memory/, "limits.memory"], [/^limits\.cpu/, "limits.cpu"],
  [/^requests\.memory/, "requests.memory"], [/^requests\.cpu/, "requests.cpu"],
];

let numbers = 0;
const id = (name) => `spec-${name.replace(".", "-")}-${(numbers += 1)}`;

/** A labelled input with a hint and a place for what is wrong with it. */
function field(name, title, hint, attributes = {}) {
  const own = id(name);
  const input = h("input", { id: own, name, autocomplete: "off", autocapitalize: "none", spellcheck: "false", ...attributes });
  const problem = h("span", { class: "problem", id: `${own}-problem` });
  const element = h("div", { class: "field" }, h("label", { for: own }, title), input, hint && h("span", { class: "hint", id: `${own}-hint` }, hint), problem);
  set(input, "aria-describedby", hint ? `${own}-hint ${own}-problem` : `${own}-problem`);
  return { name, title, element, input, problem, focus: () => input.focus() };
}

/** Rows of names, with values where `value` names them. */
function rows(name, title, hint, key, value) {
  const own = id(name);
  const problem = h("span", { class: "problem" });
  const body = h("div", { class: "pairs" });
  const add = h("button", { type: "button", class: "quiet" }, `+ Add`);
  set(add, "aria-label", `Add to ${title}`);
  const element = h("fieldset", { class: "field", id: own, "data-field": name }, h("legend", null, title), body, add, hint && h("span", { class: "hint" }, hint), problem);
  const make = (first = "", second = "") => {
    const common = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
    const one = h("input", { ...common, "aria-label": `${title}: ${key}`, placeholder: key, class: "key" });
    one.value = first;
    const other = value && h("textarea", { ...common, rows: 1, "aria-label": `${title}: ${value}`, placeholder: value });
    if (other) other.value = second;
    const away = h("button", { type: "button", class: "icon", "aria-label": `Remove this one from ${title}` }, "×");
    const row = h("div", { class: value ? "pair" : "pair single" }, one, other, away);
    away.addEventListener("click", () => {
      row.dispatchEvent(new Event("input", { bubbles: true }));
      row.remove();
      add.focus();
    });
    body.append(row);
    return one;
  };
  add.addEventListener("click", () => make().focus());
  const read = () => [...body.children].map((row) => [row.children[0].value.trim(), value ? row.children[1].value : ""]).filter(([one, other]) => one || other);
  return { name, title, element, problem, make, read, clear: () => body.replaceChildren(), focus: () => (body.querySelector("input") ?? add).focus() };
}

/**
 * Fills `form`. `send(deployment)` does what the button says and throws what the server refuses; the words appear at
 * the field that they are about, and nothing typed is lost.
 */
export function specForm(form, { button, locked = false, send }) {
  const service = field("service", "Name", "Letters, digits and dashes: it becomes part of the address.", { required: true, readonly: locked });
  const namespace = field("namespace", "Namespace", null, { list: "namespaces", readonly: locked });
  const image = field("image", "Image", "As docker names it: registry/name:tag.", { required: true });
  const process = field("envProcess", "Process", "What the image's watchdog runs, if not what the image says. Pipes work with the built-in sh.");
  const env = rows("envVars", "Environment", null, "NAME", "value");
  const labels = rows("labels", "Labels", "Such as com.openfaas.scale.min and com.openfaas.scale.max.", "name", "value");
  const annotations = rows("annotations", "Annotations", null, "name", "value");
  const secrets = rows("secrets", "Secrets", "Names of secrets that the bramble keeps; the function finds them below /var/openfaas/secrets.", "secret");
  const constraints = rows("constraints", "Constraints", "Which nodes may run it, such as kubernetes.io/arch=arm64, board=pi-4b, node=pi-4b-7f2a.", "key=value");
  const amounts = [["limits.memory", "Memory limit", "64Mi"], ["limits.cpu", "CPU limit", "500m"], ["requests.memory", "Memory request", "32Mi"], ["requests.cpu", "CPU request", "50m"]]
    .map(([name, title, example]) => field(name, title, null, { placeholder: example }));
  const readOnly = h("input", { type: "checkbox", name: "readOnlyRootFilesystem" });
  const summary = h("p", { class: "problem summary", role: "alert" });
  const news = h("p", { class: "hint", role: "status" });
  const press = h("button", { class: "primary", "data-needs": "change_functions" }, button);
  const more = h("details", { class: "more" }, h("summary", null, "All settings"), env.element,
    h("div", { class: "amounts" }, amounts.map((amount) => amount.element)), labels.element, annotations.element, secrets.element, constraints.element,
    h("label", { class: "check" }, readOnly, "Read-only root: it may write only to /tmp"));
  const fields = [service, namespace, image, process, env, labels, annotations, secrets, constraints, ...amounts];

  namespace.element.hidden = true;
  get("/system/namespaces").then((names) => {
    namespace.element.hidden = names.length < 2;
    namespace.element.append(h("datalist", { id: "namespaces" }, names.map((name) => h("option", { value: name }))));
  }).catch(() => {});

  const maps = [env, labels, annotations];
  /** All that the form shows of a function. */
  const settings = (fn) => JSON.stringify([fn.image, fn.envProcess, fn.readOnlyRootFilesystem, fn.limits, fn.requests, fn.secrets, fn.constraints, ...maps.map((map) => fn[map.name])]);
  let shown;

  /** Follows what others make of the function; what somebody has typed here stays, with a word of what that means. */
  function follow(fn) {
    if (settings(fn) === shown) return;
    if (!("typed" in form.dataset)) {
      show(fn);
      return;
    }
    const theirs = h("button", { type: "button", onclick: () => show(fn) }, "Show it as it is now");
    news.replaceChildren(`Somebody has changed this function meanwhile; “${button}” puts what stands here in its place. `, theirs);
  }

  function show(fn) {
    shown = settings(fn);
    news.replaceChildren();
    service.input.value = fn.name ?? "";
    namespace.input.value = fn.namespace ?? "";
    image.input.value = fn.image ?? "";
    process.input.value = fn.envProcess ?? "";
    for (const map of maps) {
      map.clear();
      for (const [one, other] of Object.entries(fn[map.name] ?? {})) map.make(one, other);
    }
    for (const names of [secrets, constraints]) {
      names.clear();
      for (const one of fn[names.name] ?? []) names.make(one);
    }
    for (const amount of amounts) {
      const [which, what] = amount.name.split(".");
      amount.input.value = fn[which]?.[what] ?? "";
    }
    readOnly.checked = fn.readOnlyRootFilesystem ?? false;
    const special = [...maps, secrets, constraints].some((part) => part.read().length) || amounts.some((amount) => amount.input.value) || readOnly.checked;
    if (special) more.open = true;
    delete form.dataset.typed;
  }

  function read() {
    const resources = (which) => {
      const chosen = amounts.filter((amount) => amount.name.startsWith(`${which}.`) && amount.input.value.trim());
      return chosen.length ? Object.fromEntries(chosen.map((amount) => [amount.name.split(".")[1], amount.input.value.trim()])) : undefined;
    };
    return {
      service: service.input.value.trim(),
      namespace: namespace.input.value.trim() || undefined,
      image: image.input.value.trim(),
      envProcess: process.input.value.trim() || undefined,
      ...Object.fromEntries(maps.map((map) => [map.name, Object.fromEntries(map.read())])),
      secrets: secrets.read().map(([one]) => one),
      constraints: constraints.read().map(([one]) => one),
      limits: resources("limits"),
      requests: resources("requests"),
      readOnlyRootFilesystem: readOnly.checked,
    };
  }

  function forget() {
    say(summary, "");
    for (const one of fields) {
      say(one.problem, "");
      if (one.input) set(one.input, "aria-invalid", null);
    }
  }

  function refuse(words) {
    const text = words.replace(/^validation failed: /, "");
    const [, name] = ABOUT.find(([pattern]) => pattern.test(text)) ?? [];
    const about = fields.find((one) => one.name === name);
    if (!about) {
      say(summary, text);
      return;
    }
    if (more.contains(about.element)) more.open = true;
    const [, rest] = /^[\w.]+: (.*)/s.exec(text) ?? [null, text];
    say(about.problem, rest);
    say(summary, `${about.title}: ${rest}`);
    if (about.input) set(about.input, "aria-invalid", true);
    about.focus();
  }

  /** A name that is given twice would silently lose one of its values. */
  function twice() {
    for (const map of maps) {
      const names = map.read().map(([one]) => one);
      const again = names.find((one, place) => names.indexOf(one) !== place);
      if (again !== undefined) return `${map.name}: ${again || "a row without a name"} is given twice`;
    }
    return null;
  }

  form.addEventListener("input", () => { form.dataset.typed = ""; });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    forget();
    const wrong = twice();
    if (wrong) return refuse(wrong);
    press.disabled = true;
    set(press, "aria-busy", true);
    try {
      await send(read());
      delete form.dataset.typed;
      news.replaceChildren();
    } catch (error) {
      refuse(error.message);
    } finally {
      press.disabled = false;
      set(press, "aria-busy", null);
    }
    return undefined;
  });

  form.replaceChildren(service.element, namespace.element, image.element, process.element, more, news, summary, h("p", { class: "line" }, press));
  return { show, follow };
}
