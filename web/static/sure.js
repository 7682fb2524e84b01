// What cannot be undone is asked twice: the first press changes the button's words, the second does it.

import { say } from "./dom.js";

/** Milliseconds until a first press is forgotten. */
const FORGET = 4000;

/** Has `button` do `act` at its second press; in between it says `question`. */
export function sure(button, question, act) {
  const words = button.textContent;
  let pressed = false;
  button.addEventListener("click", async () => {
    if (pressed) return act();
    pressed = true;
    say(button, question);
    setTimeout(() => { pressed = false; say(button, words); }, FORGET);
  });
}
