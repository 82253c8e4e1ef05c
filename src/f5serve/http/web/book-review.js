// The sentences of a book that may be wrong, of all its chapters that are done.

import { byId, iconButton, make, replaceRows } from "./dom.js";

const PAGE = 200; // chapters
const SHOWN = 50;
const MOST_CHARS = 200;

/**
 * @typedef {object} Doubtful as the server tells it
 * @property {number} chapter
 * @property {string} title of the chapter
 * @property {number} sentence
 * @property {string} text
 * @property {string} why
 */

export class BookReview {
  /**
   * @param {import("./api.js").Api} api
   * @param {(verb: "show" | "hear" | "redo", line: Doubtful) => void} chosen
   */
  constructor(api, chosen) {
    this._api = api;
    this._chosen = chosen;
    this._known = "";
    this._most = SHOWN;
    /** @type {Doubtful[]} */
    this._lines = [];
    byId("review-more").addEventListener("click", () => {
      this._most += SHOWN;
      this._draw();
    });
  }

  /**
   * Ask again if another chapter is done, or one was made anew.
   * @param {string} path of the book
   * @param {any} book
   * @param {() => boolean} isShown whether it is still the one that is open
   */
  async update(path, book, isShown) {
    const known = [book.book_id, book.updated_at, book.progress.done].join(" ");
    if (known === this._known) return;
    /** @type {Doubtful[]} */
    const lines = [];
    for (let after = book.progress.done ? 0 : null; after !== null; ) {
      const found = await this._api.json(`${path}/review?limit=${PAGE}&after=${after}`);
      lines.push(...found.sentences);
      after = found.next;
    }
    if (!isShown()) return;
    if (!this._known.startsWith(`${book.book_id} `)) this._most = SHOWN;
    this._known = known;
    this._lines = lines;
    this._draw();
  }

  _draw() {
    byId("review").hidden = this._lines.length === 0;
    byId("review-title").textContent = `To review (${this._lines.length.toLocaleString("en")})`;
    replaceRows(byId("review-list"), this._lines.slice(0, this._most).map((line) => this._row(line)));
    byId("review-more").hidden = this._lines.length <= this._most;
  }

  /** @param {Doubtful} line */
  _row(line) {
    const { chapter, title, sentence, text, why } = line;
    const which = `sentence ${sentence} of chapter ${chapter}`;
    const short = text.length > MOST_CHARS ? `${text.slice(0, MOST_CHARS)}…` : text;
    const show = make(
      "button",
      { type: "button", class: "text", title: "Show it in its chapter", onclick: () => this._chosen("show", line) },
      short,
    );
    const buttons = make(
      "span",
      { class: "buttons" },
      iconButton("play", `Hear ${which}`, () => this._chosen("hear", line)),
      iconButton("again", `Another take of ${which}`, () => this._chosen("redo", line)),
    );
    const about = make("span", { class: "quiet" }, `${chapter}. ${title} · ${why}`);
    return make("li", { class: "job" }, show, make("div", { class: "row" }, about, buttons));
  }
}
