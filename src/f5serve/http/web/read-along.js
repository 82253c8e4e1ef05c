// A chapter that is heard and read: the sentence and the word that are heard are marked.

import { byId } from "./dom.js";
import { counted } from "./format.js";
import { say } from "./notices.js";
import { SentenceTakes } from "./sentence-takes.js";
import { lastBefore, sentenceNodes, wordNodes } from "./timed-text.js";

/** @typedef {import("./timed-text.js").Sentence} Sentence */
/** @typedef {"play" | "hear" | "show"} How play on from a sentence, hear it alone, or show it */

/**
 * Emits "sound" when it is about to be heard, "asked" when a sentence is to be spoken anew,
 * "ended" at the end of the chapter.
 */
export class ReadAlong extends EventTarget {
  /**
   * @param {import("./api.js").Api} api
   * @param {(error: unknown) => void} failed
   */
  constructor(api, failed) {
    super();
    this._api = api;
    this._failed = failed;
    this._audio = byId("reader-audio");
    this._box = byId("reader-text");
    this._path = ""; // of the book
    /** Number of the chapter, 0 without one. */
    this.chapter = 0;
    this._job = "";
    /** @type {Sentence[]} */
    this._sentences = [];
    /** @type {HTMLElement[]} */
    this._spans = [];
    /** @type {HTMLElement[]} of the sentence that is heard */
    this._words = [];
    this._heard = -1;
    this._chosen = -1;
    this._until = Infinity; // when to stop, in seconds
    this._frame = 0;
    this._audio.addEventListener("play", () => {
      this.dispatchEvent(new Event("sound"));
      this._next();
    });
    this._audio.addEventListener("seeked", () => this._follow());
    this._audio.addEventListener("ended", () => this.dispatchEvent(new Event("ended")));
    this._box.addEventListener("click", (/** @type {Event} */ event) => this._clicked(event));
    this._box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this._pressed(event));
    this._box.addEventListener("focusin", (/** @type {Event} */ event) => this._choose(this._index(event)));
    /** Of the chosen sentence. */
    this.takes = new SentenceTakes(api, failed);
    this.takes.addEventListener("change", () => {
      if (this.takes.awaited) this.pause();
      this._choose(this._chosen);
    });
    this.takes.addEventListener("asked", (event) => {
      this.update(/** @type {CustomEvent} */ (event).detail.chapters);
      this.dispatchEvent(new Event("asked"));
    });
    byId("reader-doubt").addEventListener("click", () => this._nextDoubt());
  }

  pause() {
    this._audio.pause();
  }

  /** Forget the chapter. */
  close() {
    this.pause();
    URL.revokeObjectURL(this._audio.src);
    this._audio.removeAttribute("src");
    this.takes.end();
    this.chapter = 0;
    this._job = "";
    byId("reader").hidden = true;
  }

  /**
   * Hear a chapter.
   * @param {string} path of its book
   * @param {any} chapter
   * @param {number} [sentence] number of the one to begin with
   * @param {How} [how]
   * @returns {Promise<boolean>} whether it is the one that is shown now
   */
  async open(path, { number, title, job_id: job }, sentence = 1, how = "play") {
    const isOpen = this.chapter === number && this._path === path;
    if (isOpen && this._job && this._job === (job ?? this._job)) {
      this._seek(sentence - 1, how);
      return true;
    }
    if (!isOpen) this.close();
    this.pause();
    this.takes.end();
    this._path = path;
    this.chapter = number;
    const at = `${path}/chapters/${number}`;
    const [told, sound] = await Promise.all([
      this._api.json(`${at}/sentences`),
      this._api.ask(`${at}/audio`).then((answer) => answer.blob()),
    ]);
    if (this.chapter !== number || this._path !== path) return false; // another one was opened meanwhile
    this._job = told.job_id;
    this._sentences = told.sentences;
    byId("reader-title").textContent = `${number}. ${title}`;
    byId("reader").hidden = false;
    this._draw();
    URL.revokeObjectURL(this._audio.src);
    this._audio.src = URL.createObjectURL(sound);
    this._seek(Math.min(sentence, this._sentences.length) - 1, how);
    return true;
  }

  /**
   * More is known of the chapters: hear a sentence that was spoken anew.
   * @param {any[]} chapters
   */
  update(chapters) {
    const { awaited } = this.takes;
    const chapter = awaited && chapters.find((one) => one.number === this.chapter);
    if (!chapter) return;
    if (chapter.status === "COMPLETED" && chapter.job_id !== this._job) {
      say("Here is another take.");
      this.open(this._path, chapter, awaited).catch(this._failed);
    } else if (["ERROR", "CANCELLED"].includes(chapter.status)) {
      this.takes.end();
    }
  }

  _draw() {
    this._heard = -1;
    this._words = [];
    const { paragraphs, spans } = sentenceNodes(this._sentences);
    this._spans = spans;
    this._box.replaceChildren(...paragraphs);
    this._box.scrollTop = 0;
    byId("reader-doubt").hidden = !this._sentences.some(({ doubt }) => doubt);
    this._chosen = -1;
    this.takes.end();
    this._choose(-1);
  }

  /** @param {Event} event */
  _index(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    return this._spans.indexOf(/** @type {HTMLElement} */ (target.closest(".sentence")));
  }

  /** @param {Event} event */
  _clicked(event) {
    const index = this._index(event);
    if (index >= 0) this._seek(index);
  }

  /** @param {KeyboardEvent} event */
  _pressed(event) {
    const at = this._index(event);
    /** @type {Record<string, number>} */
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: Infinity };
    if (event.key in to) {
      const index = Math.max(0, Math.min(to[event.key], this._spans.length - 1));
      this._spans[index].focus();
    } else if (event.key === "Enter" || event.key === " ") {
      this._seek(at);
    } else return;
    event.preventDefault();
  }

  /** @param {number} index of the sentence that another take can be asked of */
  _choose(index) {
    this._chosen = index;
    const sentence = this._sentences[index];
    if (sentence) {
      for (const span of this._spans) span.tabIndex = -1;
      this._spans[index].tabIndex = 0;
    }
    const said = sentence ? [`Sentence ${sentence.number}`, sentence.doubt] : ["Click on a sentence to hear it."];
    byId("reader-said").textContent = [...said, this.takes.said].filter(Boolean).join(" · ");
    this.takes.show(`${this._path}/chapters/${this.chapter}`, sentence);
  }

  /**
   * @param {number} index of the sentence to hear
   * @param {How} [how]
   */
  _seek(index, how = "play") {
    this._choose(index);
    this._until = how === "hear" ? this._sentences[index].end_time : Infinity;
    this._audio.currentTime = this._sentences[index]?.start_time ?? 0;
    if (how === "show") {
      this.pause();
      this._spans[index].focus();
      return;
    }
    // Refused where nobody has touched the page yet: its button is there to be pressed.
    this._audio.play().catch(() => {});
  }

  _next() {
    this._follow();
    if (this._audio.currentTime >= this._until) {
      this.pause();
      this._until = Infinity;
    }
    cancelAnimationFrame(this._frame);
    if (!this._audio.paused) this._frame = requestAnimationFrame(() => this._next());
  }

  /** Mark what is heard. */
  _follow() {
    const time = this._audio.currentTime + 0.001; // browsers round what was set
    const index = lastBefore(this._sentences, time);
    if (index !== this._heard) this._mark(index);
    const words = this._sentences[index]?.words ?? [];
    const word = this._words[lastBefore(words, time)];
    if (word?.classList.contains("now")) return;
    for (const other of this._words) other.classList.toggle("now", other === word);
  }

  /** @param {number} index of the sentence that is heard */
  _mark(index) {
    const before = this._spans[this._heard];
    before?.classList.remove("now");
    before?.replaceChildren(this._sentences[this._heard].text);
    this._heard = index;
    const span = this._spans[index];
    this._words = [];
    if (!span) return;
    span.classList.add("now");
    const { text, words } = this._sentences[index];
    const { nodes, spans } = wordNodes(text, words);
    this._words = spans;
    span.replaceChildren(...nodes);
    const top = span.offsetTop - this._box.offsetTop;
    const { scrollTop, clientHeight } = this._box;
    if (top < scrollTop || top + span.offsetHeight > scrollTop + clientHeight) {
      this._box.scrollTop = top - clientHeight / 3;
    }
  }

  _nextDoubt() {
    const doubtful = this._spans.filter((_, index) => this._sentences[index].doubt);
    const next = doubtful.find((span) => this._spans.indexOf(span) > this._chosen) ?? doubtful[0];
    next.focus();
    say(`${counted(doubtful.length, "sentence")} may be wrong.`);
  }
}
