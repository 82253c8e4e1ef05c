// The text that was spoken, with the word that is heard now.

import { make } from "./dom.js";

/** @typedef {{ word: string, start: number, end: number }} TimedWord seconds */

export class Words {
  /**
   * @param {HTMLElement} box
   * @param {(seconds: number) => void} seek
   */
  constructor(box, seek) {
    this._box = box;
    /** @type {TimedWord[]} */
    this._words = [];
    /** @type {HTMLElement[]} */
    this._spans = [];
    this._at = -1;
    box.addEventListener("click", (event) => {
      const index = this._spans.indexOf(/** @type {HTMLElement} */ (event.target));
      if (index >= 0) seek(this._words[index].start);
    });
  }

  /** Whether it is known when words are heard. */
  get timed() {
    return this._words.length > 0;
  }

  /** The word that is heard now, if any. */
  get current() {
    return this._words[this._at];
  }

  /**
   * Show a text. Words are looked for in it in their order; what lies between is left as it is.
   * @param {string} text
   * @param {TimedWord[]} words may be empty
   */
  show(text, words) {
    this._words = words;
    this._at = -1;
    this._spans = [];
    const parts = [];
    let end = 0;
    for (const { word } of words) {
      const found = text.indexOf(word, end);
      const begin = found < 0 ? end : found;
      const span = make("span", { class: "word" }, word);
      this._spans.push(span);
      parts.push(text.slice(end, begin) || (found < 0 && parts.length ? " " : ""), span);
      end = found < 0 ? end : begin + word.length;
    }
    this._box.replaceChildren(...parts, text.slice(end));
    this._box.classList.toggle("timed", this.timed);
    this._box.scrollTop = 0;
  }

  /**
   * Mark the word that is heard at this time; between words the last one stays marked.
   * @param {number} seconds
   */
  follow(seconds) {
    const at = this._find(seconds);
    if (at === this._at) return;
    this._spans[this._at]?.classList.remove("now");
    this._at = at;
    const span = this._spans[at];
    if (!span) return;
    span.classList.add("now");
    const top = span.offsetTop - this._box.offsetTop;
    const shown = this._box.clientHeight;
    if (top < this._box.scrollTop || top + span.offsetHeight > this._box.scrollTop + shown) {
      this._box.scrollTop = top - shown / 3;
    }
  }

  /**
   * Where the word before this time begins.
   * @param {number} seconds
   */
  before(seconds) {
    return this._words[Math.max(0, this._find(seconds - 0.15))]?.start ?? 0;
  }

  /**
   * Where the next word begins.
   * @param {number} seconds
   */
  after(seconds) {
    const next = this._words[this._find(seconds + 0.001) + 1];
    return next ? next.start : (this._words.at(-1)?.end ?? seconds);
  }

  /**
   * Index of the last word that has begun, -1 before the first.
   * @param {number} seconds
   */
  _find(seconds) {
    let low = 0;
    let high = this._words.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this._words[middle].start <= seconds) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
