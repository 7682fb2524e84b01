// The management API, as every client sees it.

/** An answer that says no, in the server's words. */
export class Refusal extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

async function words(answer) {
  const text = (await answer.text()).trim();
  if ((answer.headers.get("content-type") ?? "").includes("json")) {
    try {
      return JSON.parse(text).error ?? text;
    } catch {
      return text;
    }
  }
  return text;
}

/** Sends a request; answers what came back, or throws a Refusal. */
export async function send(method, path, body) {
  const request = { method, headers: { accept: "application/json" } };
  if (body !== undefined) {
    request.headers["content-type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, request);
  } catch {
    throw new Refusal(0, "The bramble does not answer. Is this device still on its network?");
  }
  if (answer.status === 401) throw new Refusal(401, "Your session has ended: sign in again, in another tab if you want to keep this page.");
  if (!answer.ok) throw new Refusal(answer.status, (await words(answer)) || `The bramble answers ${answer.status}.`);
  return answer;
}

/** Asks for JSON. */
export const get = async (path) => (await send("GET", path)).json();

/** The store's entries; asked for at most once per page. */
let entries;
export function store() {
  entries ??= get("/store.json").then((answer) => answer.functions);
  return entries;
}

const session = get("/api/v1/session").catch(() => null);

/** Who is signed in, or null. */
export const whoami = () => session;

/** Deploys an entry of the store as it is. */
export function deploymentOf(entry) {
  const memory = entry.memory;
  return {
    service: entry.name,
    image: imageOf(entry),
    envProcess: entry.fprocess || undefined,
    envVars: entry.environment ?? undefined,
    labels: entry.labels ?? undefined,
    annotations: entry.annotations ?? undefined,
    requests: memory ? { memory } : undefined,
    readOnlyRootFilesystem: entry.readOnlyRootFilesystem ?? false,
  };
}

/** The image of an entry of the store: ours are the same for every processor. */
export const imageOf = (entry) => Object.values(entry.images ?? {})[0] ?? "";
