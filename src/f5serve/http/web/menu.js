// A button with a menu: by pointer, and by keys as menus of programs have them.

import { make } from "./dom.js";

const TYPED_MS = 700; // keys that come sooner belong to one word

/**
 * @typedef {object} Group
 * @property {string} label
 * @property {{ label: string, act: () => void }[]} items
 */

export class Menu {
  /**
   * @param {HTMLButtonElement} button
   * @param {HTMLElement} box with the role of a menu
   * @param {() => Group[]} groups asked for each time it opens; empty ones are left out
   */
  constructor(button, box, groups) {
    this._button = button;
    this._box = box;
    this._groups = groups;
    this._typed = "";
    this._typedAt = 0;
    /** @type {HTMLElement} what had the focus before */
    this._opener = button;
    button.addEventListener("click", () => (box.hidden ? this.open() : this.close()));
    button.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
      event.preventDefault();
      this.open(event.key === "ArrowUp");
    });
    box.addEventListener("keydown", (event) => this._key(event));
    box.addEventListener("focusout", ({ relatedTarget }) => {
      const to = /** @type {Node | null} */ (relatedTarget);
      if (!box.contains(to) && !button.contains(to)) this.close();
    });
  }

  /** @param {boolean} [atEnd] begin with the last item */
  open(atEnd = false) {
    const groups = this._groups().filter(({ items }) => items.length);
    this._box.replaceChildren(...groups.map((group) => this._group(group)));
    this._box.hidden = false;
    this._typed = "";
    this._opener = /** @type {HTMLElement} */ (document.activeElement);
    this._button.setAttribute("aria-expanded", "true");
    this._items.at(atEnd ? -1 : 0)?.focus();
  }

  close() {
    this._box.hidden = true;
    this._button.setAttribute("aria-expanded", "false");
  }

  /** @returns {HTMLElement[]} */
  get _items() {
    return [...this._box.querySelectorAll("button")];
  }

  /** @param {Group} group */
  _group({ label, items }) {
    const buttons = items.map((item) => {
      const onclick = () => {
        this._opener.focus(); // the item is gone with the menu
        this.close();
        item.act();
      };
      return make("button", { type: "button", role: "menuitem", onclick }, item.label);
    });
    const title = make("span", { class: "quiet", "aria-hidden": "true" }, label);
    return make("div", { role: "group", "aria-label": label }, title, ...buttons);
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    const { key } = event;
    const items = this._items;
    const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    if (key === "Escape" || key === "Tab") {
      this._opener.focus(); // Tab goes on from there
      this.close();
      if (key === "Tab") return;
    } else if (key in steps) {
      items.at(steps[key] % items.length)?.focus();
    } else if (key.length === 1 && key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey) {
      this._find(key.toLowerCase(), items, at);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * Go to the next item that begins with what is typed.
   * @param {string} key
   * @param {HTMLElement[]} items
   * @param {number} at
   */
  _find(key, items, at) {
    const now = performance.now();
    this._typed = now - this._typedAt < TYPED_MS ? this._typed + key : key;
    this._typedAt = now;
    const first = this._typed.length > 1 ? at : at + 1;
    const inTurn = [...items.slice(first), ...items.slice(0, first)];
    inTurn.find((item) => item.textContent?.toLowerCase().startsWith(this._typed))?.focus();
  }
}
