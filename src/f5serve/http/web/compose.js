// The text, the options, and what they will cost.

import { byId } from "./dom.js";
import { counted, roughly, speechSeconds } from "./format.js";
import { STREAMED } from "./speech.js";

const DRAFT = "f5serve.draft";
const SLIDERS = ["speed", "nfe_step", "cfg_strength", "sway_sampling_coef", "cross_fade_s"];

export class Compose {
  /** @param {{ max_chars: number } & Record<string, number>} facts limits and defaults of the server */
  constructor(facts) {
    this._facts = facts;
    this._text = byId("text");
    this._load = { queue_s: 0, rtf: 0 };
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

  /** Seconds of speech to expect. */
  get expected() {
    return speechSeconds(this.text, Number(byId("speed").value));
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
    return body;
  }

  _reset() {
    for (const name of SLIDERS) byId(name).value = this._facts[name];
    byId("seed").value = "";
    byId("response_format").value = "wav";
    byId("remove_silence").checked = false;
    byId("timings").checked = true;
  }

  _changed() {
    for (const name of SLIDERS) byId(`${name}-said`).textContent = byId(name).value;
    byId("format-note").hidden = STREAMED.includes(this.format);
    byId("options-said").textContent = this._differing().join(" · ");
    this._measure();
    this._save();
  }

  /** What is not as usual, for the line that is seen while the options are folded away. */
  _differing() {
    const told = SLIDERS.filter((name) => Number(byId(name).value) !== this._facts[name]).map(
      (name) => `${name.replace(/_.*/u, "")} ${byId(name).value}`,
    );
    if (byId("seed").value) told.push(`seed ${byId("seed").value}`);
    if (this.format !== "wav") told.push(this.format);
    if (!byId("timings").checked) told.push("no word times");
    if (byId("remove_silence").checked) told.push("no silence");
    return told;
  }

  _measure() {
    const length = [...this.text].length;
    const limit = this._facts.max_chars;
    const tooLong = length > limit;
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
      [...SLIDERS, "seed", "response_format"].map((name) => [name, byId(name).value]),
    );
    const checks = { timings: byId("timings").checked, remove_silence: byId("remove_silence").checked };
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
