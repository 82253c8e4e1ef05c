// The text, the options, and what they will cost.

import { byId } from "./dom.js";
import { counted, roughly, speechSeconds } from "./format.js";
import { STREAMED } from "./speech.js";

const DRAFT = "f5serve.draft";
const SLIDERS = ["speed", "nfe_step", "cfg_strength", "sway_sampling_coef", "cross_fade_s"];
const CHECKS = ["timings", "remove_silence", "normalize"];

/** Emits "change" when text or options are others. */
export class Compose extends EventTarget {
  /** @param {{ max_chars: number, normalize: string } & Record<string, any>} facts of the server */
  constructor(facts) {
    super();
    this._facts = facts;
    this._text = byId("text");
    this._load = { queue_s: 0, rtf: 0 };
    this._plan = { text: "", speed: 1, seconds: 0 };
    this._reset();
    this._restore();
    this._text.addEventListener("input", () => this._changed());
    byId("options").addEventListener("input", () => this._changed());
    byId("seed-new").addEventListener("click", () => {
      [byId("seed").value] = crypto.getRandomValues(new Uint32Array(1)).map((drawn) => drawn >>> 1);
      this._changed();
    });
    byId("options-reset").addEventListener("click", () => {
      this._reset();
      this._changed();
    });
    this._changed();
  }

  get text() {
    return this._text.value;
  }

  set text(value) {
    this._text.value = value;
    this._changed();
  }

  get format() {
    return byId("response_format").value;
  }

  /** Seconds of speech to expect: as the server plans it, or by the characters until it has. */
  get expected() {
    const { text, speed, seconds } = this._plan;
    if (text === this.text && speed === this._speed) return seconds;
    return speechSeconds(this.text, this._speed);
  }

  /**
   * What the server plans.
   * @param {{ text: string, speed: number }} body as `preview` gave it
   * @param {number} seconds
   */
  plan({ text, speed }, seconds) {
    this._plan = { text, speed, seconds };
    this._measure();
  }

  get _speed() {
    return Number(byId("speed").value);
  }

  /**
   * How busy the server is.
   * @param {{ queue_s: number, rtf: number }} load
   */
  set load(load) {
    this._load = load;
    this._measure();
  }

  /**
   * The fields of a request; those at their defaults are left to the server.
   * @param {string} voice
   */
  body(voice) {
    /** @type {Record<string, unknown>} */
    const body = { model: "tts-1", input: this.text, voice, response_format: this.format };
    for (const name of SLIDERS) {
      const value = Number(byId(name).value);
      if (value !== this._facts[name]) body[name] = value;
    }
    if (byId("seed").value) body.seed = Number(byId("seed").value);
    if (byId("remove_silence").checked) body.remove_silence = true;
    body.return_word_timings = byId("timings").checked;
    return { ...body, ...this._reading };
  }

  /**
   * The fields of a request for a preview; null where there is nothing to ask.
   * @param {string} voice
   */
  preview(voice) {
    if (!this.text.trim() || this._isTooLong) return null;
    return { text: this.text, voice, speed: this._speed, ...this._reading };
  }

  /** How the text is read, where that is not as usual. */
  get _reading() {
    /** @type {Record<string, unknown>} */
    const fields = {};
    if (byId("language").value) fields.language = byId("language").value;
    const { checked } = byId("normalize");
    if (checked !== this._normalizes) fields.normalize = checked ? "auto" : "off";
    return fields;
  }

  /** Whether the server reads numbers and signs as words. */
  get _normalizes() {
    return this._facts.normalize !== "off";
  }

  get _isTooLong() {
    return [...this.text].length > this._facts.max_chars;
  }

  _reset() {
    for (const name of SLIDERS) byId(name).value = this._facts[name];
    byId("seed").value = "";
    byId("response_format").value = "wav";
    byId("language").value = "";
    byId("normalize").checked = this._normalizes;
    byId("remove_silence").checked = false;
    byId("timings").checked = true;
  }

  _changed() {
    for (const name of SLIDERS) byId(`${name}-said`).textContent = byId(name).value;
    byId("format-note").hidden = STREAMED.includes(this.format);
    byId("options-said").textContent = this._differing().join(" · ");
    this._measure();
    this._save();
    this.dispatchEvent(new Event("change"));
  }

  /** What is not as usual, for the line that is seen while the options are folded away. */
  _differing() {
    const told = SLIDERS.filter((name) => Number(byId(name).value) !== this._facts[name]).map(
      (name) => `${name.replace(/_.*/u, "")} ${byId(name).value}`,
    );
    if (byId("seed").value) told.push(`seed ${byId("seed").value}`);
    if (this.format !== "wav") told.push(this.format);
    if (byId("language").value) told.push(byId("language").selectedOptions[0].text);
    if (byId("normalize").checked !== this._normalizes) {
      told.push(this._normalizes ? "numbers as written" : "numbers as words");
    }
    if (!byId("timings").checked) told.push("no word times");
    if (byId("remove_silence").checked) told.push("no silence");
    return told;
  }

  _measure() {
    const length = [...this.text].length;
    const limit = this._facts.max_chars;
    const tooLong = this._isTooLong;
    const counter = byId("length");
    counter.textContent = `${length.toLocaleString("en")} of ${counted(limit, "character")}`;
    counter.classList.toggle("over", tooLong);
    this._text.setAttribute("aria-invalid", String(tooLong));
    const speech = this.expected;
    const { queue_s, rtf } = this._load;
    const waiting = queue_s + speech * rtf;
    const parts = speech ? [`about ${roughly(speech)} of speech`] : [];
    if (speech && waiting) parts.push(`${roughly(waiting)} to make`);
    byId("estimate").textContent = parts.join(" · ");
  }

  _save() {
    const options = Object.fromEntries(
      [...SLIDERS, "seed", "response_format", "language"].map((name) => [name, byId(name).value]),
    );
    const checks = Object.fromEntries(CHECKS.map((name) => [name, byId(name).checked]));
    localStorage.setItem(DRAFT, JSON.stringify({ text: this.text, options, checks }));
  }

  _restore() {
    try {
      const draft = JSON.parse(localStorage.getItem(DRAFT) ?? "{}");
      this._text.value = draft.text ?? "";
      for (const [name, value] of Object.entries(draft.options ?? {})) byId(name).value = value;
      for (const [name, value] of Object.entries(draft.checks ?? {})) byId(name).checked = value;
    } catch {
      localStorage.removeItem(DRAFT); // of another version of the page
    }
  }
}
