// The caller's key: kept for this tab, or for this browser when that is wanted.

import { byId } from "./dom.js";

const NAME = "f5serve.key";

/** Emits "change" when somebody has given another key. */
export class Keys extends EventTarget {
  constructor() {
    super();
    this._dialog = byId("key-dialog");
    this._field = byId("key");
    /** @type {Promise<boolean> | null} */
    this._asking = null;
    byId("key-cancel").addEventListener("click", () => this._dialog.close(""));
    byId("key-form").addEventListener("submit", () => this._keep());
    byId("key-open").addEventListener("click", () => this.ask("Leave it empty to forget it.", false));
  }

  /** The key to send, "" for none. */
  get current() {
    return sessionStorage.getItem(NAME) || localStorage.getItem(NAME) || "";
  }

  /**
   * A request with the key `used` was refused: whether there is another one now.
   * @param {string} used
   */
  async askAfter(used) {
    const why = used
      ? "The API key is not valid. Was it copied whole?"
      : "Whoever runs the server can give you one.";
    return this.current !== used || this.ask(why, true);
  }

  /**
   * Ask the person; whether a key was given. Requests that fail together ask once.
   * @param {string} why
   * @param {boolean} required
   * @returns {Promise<boolean>}
   */
  ask(why, required) {
    this._asking ??= new Promise((resolve) => {
      byId("key-title").textContent = required ? "This server asks for a key" : "API key";
      byId("key-why").textContent = why;
      byId("key-why").classList.toggle("failure", required && Boolean(this.current));
      this._field.required = required;
      this._field.value = required ? "" : this.current;
      byId("key-remember").checked = Boolean(localStorage.getItem(NAME));
      this._dialog.returnValue = "";
      const closed = () => {
        this._asking = null;
        resolve(this._dialog.returnValue === "used");
      };
      this._dialog.addEventListener("close", closed, { once: true });
      this._dialog.showModal();
    });
    return this._asking;
  }

  _keep() {
    const key = this._field.value.trim();
    sessionStorage.removeItem(NAME);
    localStorage.removeItem(NAME);
    if (key) (byId("key-remember").checked ? localStorage : sessionStorage).setItem(NAME, key);
    this._field.value = "";
    this._dialog.close("used");
    if (key) this.dispatchEvent(new Event("change"));
  }
}
