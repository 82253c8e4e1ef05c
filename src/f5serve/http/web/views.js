// The two views of the page, speech and books. The address tells which, so that a reload keeps it.

import { byId } from "./dom.js";

const BOOKS = "books";
const SPEECH = "speech";
const IN_BOOKS = "#book-choose"; // where the first link of the page leads

/** Emits "change" when the other one is shown. */
export class Views extends EventTarget {
  constructor() {
    super();
    window.addEventListener("hashchange", () => this._show());
    this._show();
  }

  get isBooks() {
    return location.hash === `#${BOOKS}` || location.hash === IN_BOOKS;
  }

  _show() {
    const shown = this.isBooks ? BOOKS : SPEECH;
    byId("room").dataset.view = shown;
    byId("skip").href = this.isBooks ? IN_BOOKS : "#text";
    for (const name of [SPEECH, BOOKS]) {
      if (name === shown) byId(`to-${name}`).setAttribute("aria-current", "page");
      else byId(`to-${name}`).removeAttribute("aria-current");
    }
    this.dispatchEvent(new Event("change"));
  }
}
