// A node's light: what it says, drawn by the code that drives real ones, and the button that has it say which board it is.

import { h, notify, set } from "./dom.js";
import { send, whoami } from "./api.js";
import { WORDS } from "./lights/words.js";

/** The part of each drawing that is the LED with colours. */
const LED = "#svgView(viewBox(54,12,24,24))";

/** `{ element, update(node) }`. */
export function light() {
  let name;
  const picture = h("img", { alt: "", width: 20, height: 20 });
  const button = h("button", { type: "button", hidden: true }, "Identify");
  const element = h("span", { class: "light" }, picture, button);
  let identifies = false;
  button.addEventListener("click", async () => {
    try {
      await send("POST", `/api/v1/nodes/${encodeURIComponent(name)}/identify`, { seconds: identifies ? 0 : 60 });
      notify(identifies ? `${name} says what it said before.` : `The light of ${name} blinks for a minute.`);
    } catch (refusal) {
      notify(refusal.message, "bad");
    }
  });
  return {
    element,
    update(now) {
      name = now.name;
      const says = now.light?.says;
      identifies = says === "identify";
      picture.hidden = !says;
      if (says) {
        const { pathname } = new URL(`lights/${says}.svg`, import.meta.url);
        set(picture, "src", pathname + LED);
        const dark = now.light.brightness === 0 && says !== "identify";
        const words = `Its light: ${dark ? "dark at this hour." : WORDS[says] ?? says}`;
        set(picture, "title", words);
        set(picture, "alt", words);
        set(picture, "class", dark ? "dark" : null);
      }
      if (button.textContent !== (identifies ? "Stop" : "Identify")) button.textContent = identifies ? "Stop" : "Identify";
      whoami().then((who) => { button.hidden = !says || !who?.permissions?.includes("change_nodes"); });
    },
  };
}
