// Takes of lines: made one at a time with the page's request for speech, kept here and compared.

import { Player } from "./player.js";
import { drawSeed } from "./seeds.js";
import { speak } from "./speech.js";

const MOST_SAMPLES = 24_000 * 60 * 20; // 20 minutes, 115 MB; the oldest takes go first

/**
 * @typedef {object} Take
 * @property {string} key of its line
 * @property {number} seed
 * @property {Float32Array} samples
 * @property {number} sampleRate
 */

/** Emits "change" when there is another take, or another one is heard. */
export class Takes extends EventTarget {
  /**
   * @param {import("./api.js").Api} api
   * @param {import("./work.js").Work} work
   */
  constructor(api, work) {
    super();
    this._api = api;
    this._work = work;
    /** @type {Take[]} the oldest first */
    this._all = [];
    /** What is being made, heard as it comes. */
    this._maker = new Player();
    /** What is heard again. */
    this._deck = new Player();
    /** Key of the line that is being made. */
    this.making = "";
    /** @type {Take | null} the one on the deck */
    this._heard = null;
    /** @type {Take | null} the one that the maker holds, once it is whole */
    this._made = null;
    let playing = false;
    const tell = () => {
      const now = this._maker.playing || this._deck.playing;
      if (playing !== now) this.dispatchEvent(new Event("change"));
      if (now && !playing) this.dispatchEvent(new Event("sound"));
      playing = now;
    };
    this._maker.addEventListener("change", tell);
    this._deck.addEventListener("change", tell);
  }

  /**
   * The takes of a line.
   * @param {string} key
   */
  of(key) {
    return this._all.filter((take) => take.key === key);
  }

  /**
   * Whether a take is heard now, or the line that is being made.
   * @param {Take | string} which
   */
  hears(which) {
    if (typeof which === "string") return this._maker.playing && this.making === which;
    return (this._deck.playing && this._heard === which) || (this._maker.playing && this._made === which);
  }

  /** Silence. */
  quiet() {
    this._maker.pause();
    this._deck.pause();
  }

  /**
   * Hear a take from its beginning, or no longer.
   * @param {Take} take
   */
  toggle(take) {
    const stops = this.hears(take);
    this.quiet();
    if (stops) return;
    this._heard = take;
    this._deck.begin(take.sampleRate);
    this._deck.append(take.samples);
    this._deck.finish();
    this._deck.play();
    this.dispatchEvent(new Event("change"));
  }

  /** Hear on what is being made, or no longer. */
  toggleMaking() {
    const stops = this._maker.playing;
    this.quiet();
    if (!stops) this._maker.play();
  }

  /**
   * Make a line, and hear it meanwhile.
   * @param {string} key
   * @param {(seed: number) => Record<string, any>} body of the request
   * @param {number | null} seed null draws one
   * @param {(progress: import("./speech.js").Progress) => void} told
   * @returns {Promise<unknown>} as of `Work.run`
   */
  make(key, body, seed, told) {
    return this._work.run(async (signal) => {
      const drawn = seed ?? drawSeed();
      this.quiet();
      this.making = key;
      this._made = null;
      this._maker.begin();
      this.dispatchEvent(new Event("change"));
      try {
        await speak(this._api, this._maker, body(drawn), signal, told);
        const { samples, sampleRate } = this._maker;
        this._made = { key, seed: drawn, samples: samples.slice(), sampleRate };
        this.add(this._made);
      } catch (error) {
        this._maker.pause();
        throw error;
      } finally {
        this.making = "";
        this.dispatchEvent(new Event("change"));
      }
    });
  }

  /**
   * Keep a take; it replaces one of the same seed.
   * @param {Take} take
   */
  add(take) {
    const others = this._all.filter(({ key, seed }) => key !== take.key || seed !== take.seed);
    this._all = [...others, take];
    let sum = this._all.reduce((all, { samples }) => all + samples.length, 0);
    while (sum > MOST_SAMPLES && this._all.length > 1) sum -= this._all.shift()?.samples.length ?? 0;
  }
}
