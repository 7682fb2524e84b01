// Before anything is drawn: the colours that were chosen on this device, if any. The button for it is in shell.js.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("bramble-theme");
  } catch {
    // A browser that keeps nothing has its own wish only.
  }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
