// One book: how far it is, its chapters, what can be done with it, its files.

import { BookReview } from "./book-review.js";
import { byId, icon, iconButton, make, replaceRows } from "./dom.js";
import { counted, roughly } from "./format.js";
import { confirmed, say } from "./notices.js";
import { ReadAlong } from "./read-along.js";
import { download } from "./result.js";

const PAGE = 200;
const AGAIN_MS = 2500;
const CHARS_PER_S = 15;
/** @type {Record<string, string>} */
export const SAID = {
  QUEUED: "waiting",
  PROCESSING: "being spoken",
  PAUSED: "paused",
  COMPLETED: "done",
  ERROR: "failed",
  CANCELLED: "cancelled",
};
const GOING_ON = ["QUEUED", "PROCESSING"];
/** @type {Record<string, string>} by what is seen on the button */
const FILES = { m4b: "audio", epub: "epub", srt: "subtitles/srt", vtt: "subtitles/vtt", ass: "subtitles/ass" };

/**
 * Emits "change" when more is known of the book, "soon" when something has been asked for,
 * "removed", and "sound" when a chapter is about to be heard.
 */
export class BookView extends EventTarget {
  /**
   * @param {import("./api.js").Api} api
   * @param {(error: unknown) => void} failed
   */
  constructor(api, failed) {
    super();
    this._api = api;
    this._failed = failed;
    this._load = { queue_s: 0, rtf: 0 };
    this._pages = 1;
    this._opened = ""; // id of the book that is to be shown
    this._shown = "";
    /** @type {any} with all chapters that are shown */
    this.book = null;
    this._reader = new ReadAlong(api, failed);
    this._reader.addEventListener("sound", () => this.dispatchEvent(new Event("sound")));
    this._reader.addEventListener("asked", () => this.dispatchEvent(new Event("soon")));
    this._reader.addEventListener("ended", () => this._goOn());
    this._review = new BookReview(api, (verb, line) => this._look(verb, line).catch(failed));
    byId("book-pause").addEventListener("click", () => this._ask(this._isGoingOn ? "pause" : "resume"));
    byId("book-remove").addEventListener("click", () => this._remove());
    byId("chapters-more").addEventListener("click", () => {
      this._pages += 1;
      this.refresh().catch(failed);
    });
  }

  /** @param {{ queue_s: number, rtf: number }} load */
  set load(load) {
    this._load = load;
  }

  get _isGoingOn() {
    return GOING_ON.includes(this.book.status);
  }

  /** Whether it will be another one soon; chapters of a paused book are spoken to their end. */
  get isActive() {
    const chapters = this.book?.chapters ?? [];
    const isMaking = chapters.some((/** @type {any} */ one) => one.status === "PROCESSING");
    return this.book !== null && (this._isGoingOn || isMaking);
  }

  quiet() {
    this._reader.pause();
  }

  /** @param {string} id */
  async open(id) {
    if (id !== this._opened) {
      this._reader.close();
      this._pages = 1;
    }
    this._opened = id;
    await this.refresh();
  }

  /** Ask how far the open book is. */
  async refresh() {
    const id = this._opened;
    if (!id) return;
    /** @type {any} */
    let book = null;
    const isWanted = (/** @type {number} */ page, /** @type {number} */ after) =>
      page < this._pages || after < this._reader.chapter; // which may lie behind the pages
    for (let page = 0, after = 0; after !== null && isWanted(page, after); page += 1) {
      const found = await this._api.json(`${path(id)}?limit=${PAGE}&after=${after}`);
      book = { ...found, chapters: [...(book?.chapters ?? []), ...found.chapters] };
      after = found.next;
    }
    if (id !== this._opened) return; // another one was opened meanwhile
    this.book = book;
    this._draw();
    this._reader.update(book.chapters);
    this.dispatchEvent(new Event("change"));
    await this._review.update(path(id), book, () => id === this._opened);
  }

  _draw() {
    const { book } = this;
    const { done, total, percent, characters } = book.progress;
    byId("book").hidden = false;
    byId("book-title").textContent = book.title;
    byId("book-about").textContent = [...book.authors, `as ${book.voice}`].join(" · ");
    byId("book-progress").value = percent;
    const leftS = ((characters * (100 - percent)) / 100 / CHARS_PER_S) * this._load.rtf;
    byId("book-state").textContent = [
      SAID[book.status] ?? book.status,
      `${done} of ${counted(total, "chapter")}`,
      `${percent} %`,
      this._isGoingOn && leftS ? `about ${roughly(leftS)} left` : "",
    ]
      .filter(Boolean)
      .join(" · ");
    const button = byId("book-pause");
    button.hidden = book.status === "COMPLETED";
    button.textContent = this._isGoingOn ? "Pause" : book.status === "PAUSED" ? "Resume" : "Try again";
    byId("chapters-more").hidden = !book.next;
    const told = JSON.stringify([book.book_id, book.status, book.chapters]);
    if (told === this._shown) return;
    this._shown = told;
    replaceRows(byId("chapter-list"), book.chapters.map((/** @type {any} */ one) => this._row(one)));
    this._drawFiles();
  }

  /** @param {any} chapter */
  _row(chapter) {
    const { number, title, status, percent, failure } = chapter;
    const said = status === "PROCESSING" ? `${SAID[status]}, ${percent} %` : (SAID[status] ?? status);
    const line = make(
      "div",
      { class: "row" },
      make("span", { class: "name" }, `${number}. ${title}`),
      make("span", { class: `badge ${status}` }, said),
    );
    if (status === "COMPLETED") {
      const listen = iconButton("play", `Listen to ${number}. ${title}`, () => this._listen(chapter));
      line.append(make("span", { class: "buttons" }, listen));
    }
    const row = make("li", { class: "job" }, line);
    if (failure) row.append(make("p", { class: "failure" }, failure.message));
    return row;
  }

  _drawFiles() {
    const { book } = this;
    const buttons = Object.keys(FILES).map((kind) => {
      const onclick = () => this._save(book.book_id, kind).catch(this._failed);
      const attributes = { type: "button", class: "chip", "aria-label": `Download ${kind}`, onclick };
      return make("button", attributes, icon("download", true), kind.toUpperCase());
    });
    const shown = book.status === "COMPLETED" ? buttons : [];
    const said = make("span", { class: "quiet", id: "book-writing", role: "status" }, "Download");
    if (shown.length) replaceRows(byId("book-downloads"), [said, ...shown]);
    else byId("book-downloads").replaceChildren();
  }

  /** @param {any} chapter */
  _listen(chapter) {
    this._reader.open(path(this.book.book_id), chapter).catch(this._failed);
  }

  /**
   * @param {"show" | "hear" | "redo"} verb
   * @param {import("./book-review.js").Doubtful} line
   */
  async _look(verb, line) {
    const known = this.book.chapters.find((/** @type {any} */ one) => one.number === line.chapter);
    const chapter = known ?? { number: line.chapter, title: line.title };
    const how = verb === "hear" ? "hear" : "show";
    const isOpen = await this._reader.open(path(this.book.book_id), chapter, line.sentence, how);
    if (isOpen && verb === "redo") await this._reader.takes.redo();
  }

  /** Hear the chapter behind the one that has ended, if it is done. */
  _goOn() {
    const at = this.book.chapters.findIndex((/** @type {any} */ one) => one.number === this._reader.chapter);
    const next = this.book.chapters[at + 1];
    if (at >= 0 && next?.status === "COMPLETED") this._listen(next);
  }

  /** @param {"pause" | "resume"} verb */
  async _ask(verb) {
    try {
      await this._api.ask(`${path(this.book.book_id)}/${verb}`, { method: "POST" });
      await this.refresh();
      say(byId("book-state").textContent);
      this.dispatchEvent(new Event("soon"));
    } catch (error) {
      this._failed(error);
    }
  }

  async _remove() {
    const { book_id: id, title } = this.book;
    const sentence = "Its chapters and all that was spoken of it are removed from the server for good.";
    if (!(await confirmed(`Delete the book ${title}?`, sentence))) return;
    try {
      await this._api.ask(path(id), { method: "DELETE" });
      this._opened = "";
      this.book = null;
      this._reader.close();
      byId("book").hidden = true;
      say(`The book ${title} is deleted.`);
      byId("book-choose").focus();
      this.dispatchEvent(new Event("removed"));
    } catch (error) {
      this._failed(error);
    }
  }

  /**
   * Save a file; the server writes it first, which takes a while.
   * @param {string} id
   * @param {string} kind
   */
  async _save(id, kind) {
    const said = byId("book-writing");
    for (;;) {
      const answer = await this._api.ask(`${path(id)}/${FILES[kind]}`);
      if (answer.status !== 202) {
        said.textContent = "Download";
        download(await answer.blob(), `${id}.${kind}`);
        return;
      }
      said.textContent = `Writing the file, ${(await answer.json()).percent} %`;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      if (this._opened !== id) return;
    }
  }
}

/** @param {string} id of a book */
function path(id) {
  return `v1/books/${encodeURIComponent(id)}`;
}
