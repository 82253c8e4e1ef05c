// The books of this server: the list of them, and the one that is open.

import { BookView, SAID } from "./book-view.js";
import { byId, make, replaceRows } from "./dom.js";
import { ago } from "./format.js";
import { NewBook } from "./new-book.js";
import { clearError, showError } from "./notices.js";

const FIRST_MS = 700; // after something was asked for: a sentence may be spoken by then
const SOON_MS = 2500; // as often as the history looks
const LATER_MS = 20_000;
const PAGE = 50;

/** Emits "sound" when a chapter is about to be heard. */
export class Books extends EventTarget {
  /**
   * @param {import("./api.js").Api} api
   * @param {import("./voices.js").Voices} voices
   * @param {import("./views.js").Views} views
   */
  constructor(api, voices, views) {
    super();
    this._api = api;
    this._views = views;
    this._timer = 0;
    this._listed = 0; // when the list was asked for, milliseconds
    this._pages = 1;
    /** @type {any[]} */
    this._books = [];
    const failed = (/** @type {unknown} */ error) => showError(error, byId("book-alert"));
    this._failed = failed;
    this._view = new BookView(api, failed);
    new NewBook(api, voices, (book) => this._show(book));
    this._view.addEventListener("change", () => this._changed());
    this._view.addEventListener("removed", () => this.look(true).catch(failed));
    this._view.addEventListener("soon", () => this._lookIn(FIRST_MS));
    this._view.addEventListener("sound", () => this.dispatchEvent(new Event("sound")));
    views.addEventListener("change", () => {
      if (views.isBooks) this.look(true).catch(failed);
      else this.quiet();
    });
    byId("books-more").addEventListener("click", () => {
      this._pages += 1;
      this.look(true).catch(failed);
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && views.isBooks) this._lookIn(0);
    });
  }

  /** @param {{ queue_s: number, rtf: number }} load how busy the server is */
  set load(load) {
    this._view.load = load;
  }

  /** Stop what is heard. */
  quiet() {
    this._view.quiet();
  }

  /**
   * Ask for what is shown, and look again later.
   * @param {boolean} [all] the list as well, however new it is
   */
  async look(all = false) {
    clearTimeout(this._timer);
    if (!this._views.isBooks) return;
    if (all || Date.now() - this._listed >= LATER_MS) await this._list();
    await this._view.refresh();
    this._lookIn(this._view.isActive ? SOON_MS : LATER_MS);
  }

  /** @param {number} milliseconds */
  _lookIn(milliseconds) {
    clearTimeout(this._timer);
    this._timer = window.setTimeout(() => {
      if (document.hidden) return; // looked for again once it is seen
      this.look().catch(() => this._lookIn(LATER_MS));
    }, milliseconds);
  }

  async _list() {
    this._listed = Date.now();
    /** @type {any[]} */
    const books = [];
    let next = "";
    for (let page = 0; page < this._pages; page += 1) {
      const after = next ? `&after=${encodeURIComponent(next)}` : "";
      const found = await this._api.json(`v1/books?limit=${PAGE}${after}`);
      books.push(...found.books);
      next = found.next ?? "";
      if (!next) break;
    }
    byId("books-more").hidden = !next;
    this._books = books.sort((one, other) => other.updated_at - one.updated_at);
    this._draw();
  }

  /** The open book is known better than the list has it. */
  _changed() {
    const { book } = this._view;
    const index = this._books.findIndex((one) => one.book_id === book.book_id);
    if (index < 0) this._books.unshift(book);
    else this._books[index] = book;
    this._draw();
  }

  _draw() {
    replaceRows(byId("book-list"), this._books.map((book) => this._row(book)));
    byId("books-empty").hidden = this._books.length > 0;
  }

  /** @param {any} book */
  _row(book) {
    const { done, total } = book.progress;
    const about = [book.voice, `${done} of ${total} chapters`, ago(book.updated_at)];
    const open = make(
      "button",
      { type: "button", class: "text", "aria-label": `Open ${book.title}`, onclick: () => this._show(book) },
      book.title,
    );
    const line = make("div", { class: "row" }, make("span", { class: "quiet" }, about.join(" · ")));
    line.append(make("span", { class: `badge ${book.status}` }, SAID[book.status] ?? book.status));
    return make("li", { class: "job" }, open, line);
  }

  /** @param {any} book */
  async _show(book) {
    clearError(byId("book-alert"));
    try {
      await this._view.open(book.book_id);
      this._lookIn(this._view.isActive ? FIRST_MS : LATER_MS);
      byId("book").scrollIntoView({ block: "nearest" });
      byId("book-title").focus();
    } catch (error) {
      this._failed(error);
    }
  }
}
