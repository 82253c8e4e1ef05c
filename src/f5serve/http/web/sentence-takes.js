// Takes of the sentence that is chosen: another one is spoken, or an earlier one gone back to.

import { byId } from "./dom.js";

/** @typedef {import("./timed-text.js").Sentence} Sentence */

/**
 * Emits "change" when a take is awaited, or no longer, and "asked" with the answer of the server
 * as its detail: the book with this chapter alone.
 */
export class SentenceTakes extends EventTarget {
  /**
   * @param {import("./api.js").Api} api
   * @param {(error: unknown) => void} failed
   */
  constructor(api, failed) {
    super();
    this._api = api;
    this._failed = failed;
    this._chapter = ""; // path
    /** @type {Sentence | undefined} */
    this._sentence = undefined;
    /** Number of the sentence of which another take is awaited; 0 for none. */
    this.awaited = 0;
    this._doing = "";
    byId("reader-again").addEventListener("click", () => this.redo());
    byId("take-before").addEventListener("click", () => this._go(-1));
    byId("take-behind").addEventListener("click", () => this._go(1));
  }

  /** What is awaited, as a clause. */
  get said() {
    return this.awaited ? `sentence ${this.awaited} is ${this._doing}` : "";
  }

  /**
   * @param {string} chapter path of it
   * @param {Sentence | undefined} sentence
   */
  show(chapter, sentence) {
    this._chapter = chapter;
    this._sentence = sentence;
    byId("reader-again").disabled = !sentence;
    const { take, takes } = sentence ?? { take: 1, takes: 1 };
    byId("reader-takes").hidden = takes < 2;
    byId("take-said").textContent = `Take ${take} of ${takes}`;
    // One that is disabled would lose the focus.
    byId("take-before").setAttribute("aria-disabled", String(take === 1));
    byId("take-behind").setAttribute("aria-disabled", String(take === takes));
  }

  /** Have another take spoken. */
  redo() {
    const ask = (/** @type {string} */ at) => this._api.ask(`${at}/redo`, { method: "POST" });
    return this._ask(ask, "being spoken anew");
  }

  /** @param {number} step to an earlier take, or to a later one */
  async _go(step) {
    const { take, takes } = this._sentence ?? { take: 1, takes: 1 };
    const to = take + step;
    if (to < 1 || to > takes) return;
    await this._ask((at) => this._api.post(`${at}/take`, { take: to }), `going to take ${to}`);
  }

  /**
   * @param {(at: string) => Promise<Response>} ask
   * @param {string} doing
   */
  async _ask(ask, doing) {
    if (this.awaited || !this._sentence) return;
    const { number } = this._sentence;
    this._await(number, doing);
    try {
      const answer = await ask(`${this._chapter}/sentences/${number}`);
      this.dispatchEvent(new CustomEvent("asked", { detail: await answer.json() }));
    } catch (error) {
      this._await(0);
      this._failed(error);
    }
  }

  /**
   * @param {number} number
   * @param {string} [doing]
   */
  _await(number, doing = "") {
    this.awaited = number;
    this._doing = doing;
    this.dispatchEvent(new Event("change"));
  }

  /** The sentence is not awaited any more: its chapter is there, failed, or left. */
  end() {
    if (this.awaited) this._await(0);
  }
}
