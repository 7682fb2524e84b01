// Keeps the overview as the bramble is: asks every two seconds and shows what it is told, as text, never as HTML.

const PAUSE_MS = 2000;
const state = document.querySelector("#state");

async function get(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (answer.status === 401) {
    location.assign("/ui/");
  }
  if (!answer.ok) {
    throw new Error(`${path} answered ${answer.status}`);
  }
  return answer.json();
}

function element(name, text, ...classes) {
  const made = document.createElement(name);
  made.textContent = text;
  made.classList.add(...classes);
  return made;
}

function row(...cells) {
  const made = document.createElement("tr");
  made.append(...cells.map((cell) => {
    if (cell instanceof HTMLTableCellElement) return cell;
    const td = document.createElement("td");
    td.append(cell);
    return td;
  }));
  return made;
}

const number = (value) => element("td", value ?? "–", "number");
const mebibytes = (bytes) => Math.round(bytes / (1 << 20));

function nodeRow(node) {
  const name = document.createElement("td");
  name.append(node.name, ...(node.leader ? [" ", element("span", "master", "badge")] : []));
  for (const warning of node.warnings) {
    name.append(element("span", warning, "note"));
  }
  const phase = element("span", node.phase, "badge", node.phase === "up" ? "good" : "bad");
  const memory = `${mebibytes(node.memory_requested_bytes)} of ${mebibytes(node.memory_for_replicas_bytes)} MiB`;
  return row(name, node.board, phase, number(node.replicas), number(memory), number(node.load?.toFixed(2)));
}

function functionRow(fn) {
  const ready = fn.availableReplicas ?? 0;
  const wanted = fn.replicas ?? 0;
  const cell = element("td", ready, "number", ready === wanted ? "good" : "bad");
  return row(fn.name, fn.image, cell, number(wanted), number(fn.invocationCount ?? 0));
}

async function show() {
  try {
    const [nodes, functions] = await Promise.all([get("/api/v1/nodes"), get("/system/functions")]);
    document.querySelector("#nodes").replaceChildren(...nodes.map(nodeRow));
    document.querySelector("#functions").replaceChildren(...functions.map(functionRow));
    document.querySelector("#no-functions").hidden = functions.length > 0;
    const up = nodes.filter((node) => node.phase === "up").length;
    state.textContent = `${up} of ${nodes.length} nodes are up, ${functions.length} functions`;
  } catch (error) {
    state.textContent = `The bramble does not answer (${error.message}); asking again …`;
  }
  setTimeout(show, PAUSE_MS);
}

show();
