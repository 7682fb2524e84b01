// Numbers, amounts and times as people read them, and the look of a function by its name.

const number = new Intl.NumberFormat("en");
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export const count = (value) => number.format(value ?? 0);
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

export function bytes(value) {
  let amount = value ?? 0;
  let unit = 0;
  while (amount >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${amount >= 100 || unit === 0 ? Math.round(amount) : amount.toFixed(1)} ${UNITS[unit]}`;
}

export function milliseconds(value) {
  if (value < 10) return `${value.toFixed(1)} ms`;
  return value < 10_000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

/** Invocations per second. */
export function rate(value) {
  if (!value) return "0/s";
  if (value < 0.1) return "< 0.1/s";
  return `${value < 10 ? value.toFixed(1) : count(Math.round(value))}/s`;
}

/** How long ago, in few words. */
export function ago(time) {
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (Number.isNaN(seconds)) return "";
  if (seconds < 5) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(time).toLocaleDateString();
}

/** Hues that people tell apart: few where hues look alike. */
const HUES = [4, 26, 44, 78, 128, 168, 190, 212, 238, 268, 302, 334];

/** A colour of its own for every name, the same on every device: a hue and one of three shades. */
export function paint(element, name) {
  let hash = 2166136261;
  for (const letter of name) hash = Math.imul(hash ^ letter.codePointAt(0), 16777619);
  hash = Math.imul(hash ^ (hash >>> 15), 2246822519);
  hash = (hash ^ (hash >>> 13)) >>> 0;
  element.style.setProperty("--hue", String(HUES[hash % HUES.length]));
  element.dataset.shade = String((hash >>> 8) % 3);
  return element;
}

/** Two letters for a name, so that colour is not all that tells functions apart. */
export function monogram(name) {
  const parts = name.split(/[-_.]/).filter(Boolean);
  const [first = "?"] = parts;
  return (parts.length > 1 ? first[0] + parts[1][0] : first.slice(0, 2)).toLowerCase();
}

/** A phase as one of the four looks of a dot. */
export const look = (phase) => ({ ready: "ready", starting: "starting", failing: "failing" })[phase] ?? "stopped";

const STATUS = {
  ready: ["ready", "good"],
  starting: ["starting", "busy"],
  waiting: ["waiting", "warn"],
  scaled_to_zero: ["scaled to zero", "rest"],
  failing: ["failing", "bad"],
  partly_ready: ["partly ready", "warn"],
};

/** A status in words, and its kind. */
export const status = (name) => STATUS[name] ?? [name ?? "", "rest"];

/** Address of a function's page. */
export const pageOf = ({ namespace, name }) =>
  `/ui/functions/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
