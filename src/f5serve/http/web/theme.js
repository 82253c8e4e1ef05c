// Dark and light: as the system says, until the button says otherwise.

import { byId } from "./dom.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

/** Have the button switch themes; `changed` is called after every change. */
export function installTheme(/** @type {() => void} */ changed) {
  const root = document.documentElement;
  const button = byId("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const show = () => {
    button.setAttribute("aria-pressed", String(isDark()));
    changed();
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("f5serve.theme", root.dataset.theme);
    show();
  });
  dark.addEventListener("change", show);
  show();
}
