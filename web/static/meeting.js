// Other brambles with the same join key, which somebody has used, too: people decide which of them stays.

import { $, h, list, say } from "./dom.js";
import { get, send } from "./api.js";
import { sure } from "./sure.js";

/** Milliseconds between two looks: switches are not plugged together often. */
const PAUSE = 15000;

function other(meeting) {
  const about = h("span");
  const portal = h("a", null, "Open its portal");
  const leave = h("button", { type: "button", "data-needs": "change_nodes" }, "Give this bramble up and join that one");
  sure(leave, "Really lose all that this bramble holds?", async () => {
    const problem = $("meeting-problem");
    problem.hidden = true;
    try {
      await send("POST", "/api/v1/dissolve", { into: meeting.bramble });
      say(leave, "Its Pis go over …");
      leave.disabled = true;
    } catch (refusal) {
      say(problem, refusal.message);
      problem.hidden = false;
    }
  });
  const element = h("li", { class: "knocker" }, about, portal, leave);
  return {
    element,
    update(now) {
      say(about, now.boards.map((board) => board.replace("Raspberry ", "")).join(", "));
      portal.hidden = now.address === "";
      portal.href = `http://${now.address}/ui/`;
    },
  };
}

const show = list($("meeting-list"), (meeting) => meeting.bramble, other);

/** Shows them now and whenever there are others. */
export async function watchMeetings() {
  try {
    const meetings = await get("/api/v1/meetings");
    $("meeting").hidden = meetings.length === 0;
    show(meetings);
  } catch {
    // Whoever may not see nodes, or is cut off for the moment, sees what is there.
  }
  setTimeout(watchMeetings, PAUSE);
}
