// What has to be said: errors in a box that screen readers read at once, the rest politely.

import { byId, iconButton, make } from "./dom.js";

/**
 * Say something to those who do not see the page.
 * @param {string} sentence
 */
export function say(sentence) {
  byId("said").textContent = sentence;
}

/**
 * Show an error as its sentence, until it is closed or something else is done.
 * @param {unknown} error
 * @param {HTMLElement} [box]
 */
export function showError(error, box = byId("alert")) {
  const sentence = error instanceof Error ? error.message : String(error);
  const close = iconButton("close", "Close this message", () => clearError(box));
  box.replaceChildren(make("p", {}, sentence), close);
}

/** @param {HTMLElement} [box] */
export function clearError(box = byId("alert")) {
  box.replaceChildren();
}

/**
 * Ask before something is lost.
 * @param {string} title
 * @param {string} sentence
 * @returns {Promise<boolean>}
 */
export function confirmed(title, sentence) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-said").textContent = sentence;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
