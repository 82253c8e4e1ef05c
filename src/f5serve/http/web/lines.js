// The lines of a script: each heard alone, made again with other seeds, and the better take kept.

import { byId } from "./dom.js";
import { replaceText } from "./edit.js";
import { counted } from "./format.js";
import { lineRow } from "./line-row.js";
import { clearError, say, showError } from "./notices.js";
import { download } from "./result.js";
import { isSpoken, seedChange, tagOf } from "./seeds.js";

const MOST_SHOWN = 500;

export class Lines {
  /**
   * @param {import("./api.js").Api} api
   * @param {import("./compose.js").Compose} compose
   * @param {import("./voices.js").Voices} voices
   * @param {import("./script.js").Script} script
   * @param {import("./takes.js").Takes} takes
   * @param {(progress: import("./speech.js").Progress) => void} told
   */
  constructor(api, compose, voices, script, takes, told) {
    this._api = api;
    this._compose = compose;
    this._voices = voices;
    this._script = script;
    this._takes = takes;
    this._told = told;
    this._list = byId("line-list");
    this._shown = "";
    /** @type {string[]} what the takes of each line are known by */
    this._keys = [];
    /** @type {import("./line-row.js").Actions} */
    this._actions = {
      play: (index) => this._play(index),
      again: (index) => this._make(index, null),
      toggle: (index, seed) => this._toggle(index, seed),
      keep: (index, seed) => this._keep(index, seed),
    };
    for (const changing of [script, takes, voices]) changing.addEventListener("change", () => this._show());
    byId("options").addEventListener("input", () => this._show());
    byId("options-reset").addEventListener("click", () => this._show());
    byId("script-save").addEventListener("click", () => {
      download(new Blob([compose.text], { type: "text/plain" }), "f5serve-script.txt");
    });
  }

  /**
   * Make takes of what was spoken as a whole, so that single lines can be made again.
   * @param {Record<string, unknown>} body that was sent; nothing is taken if it would be another one now
   * @param {any[]} parts of the result, with the times at which they are heard
   * @param {import("./player.js").Player} player
   */
  adopt(body, parts, { samples, sampleRate }) {
    const { lines, isScript } = this._script;
    const now = this._compose.body(this._voices.chosen);
    if (!isScript || parts.length !== lines.length || JSON.stringify(now) !== JSON.stringify(body)) return;
    parts.forEach(({ seed, start_time, end_time }, index) => {
      const [from, to] = [start_time, end_time].map((seconds) => Math.round(seconds * sampleRate));
      if (!Number.isInteger(seed) || !(to > from) || !isSpoken(lines[index])) return;
      this._takes.add({ key: this._keys[index], seed, samples: samples.slice(from, to), sampleRate });
    });
    this._show();
  }

  /** The request for a line alone, but for the line. */
  get _base() {
    const { seed, input, ...body } = this._compose.body(this._voices.chosen);
    return { ...body, response_format: "wav", return_word_timings: false };
  }

  /** @param {number} index */
  _play(index) {
    const key = this._keys[index];
    const { seed } = this._script.lines[index];
    const takes = this._takes.of(key);
    const wanted = seed ?? takes.at(-1)?.seed;
    if (this._takes.making === key) this._takes.toggleMaking();
    else if (takes.some((take) => take.seed === wanted)) this._toggle(index, wanted);
    else this._make(index, seed);
  }

  /**
   * @param {number} index
   * @param {number | undefined} seed of the take
   */
  _toggle(index, seed) {
    const take = this._takes.of(this._keys[index]).find((made) => made.seed === seed);
    if (take) this._takes.toggle(take);
  }

  /**
   * @param {number} index
   * @param {number | null} seed null draws one
   */
  async _make(index, seed) {
    clearError();
    const key = this._keys[index];
    const line = this._script.lines[index];
    const said = this._compose.text.slice(line.from, line.to);
    const base = this._base;
    // In a tag with everything that is its own, a line sounds as in the script.
    const body = (/** @type {number} */ drawn) => ({ ...base, input: `${tagOf(line, drawn)} ${said}` });
    const error = await this._takes.make(key, body, seed, this._told);
    if (error === "cancelled") say("Cancelled.");
    else if (error) showError(error);
    else say(`Line ${index + 1}: take ${this._takes.of(key).length} is made.`);
  }

  /**
   * Write the seed of a take into the text, or take it out again.
   * @param {number} index
   * @param {number} seed
   */
  async _keep(index, seed) {
    const { lines } = this._script;
    const { text } = this._compose;
    const isKept = lines[index].seed === seed;
    const change = seedChange(text, lines, index, isKept ? null : seed);
    const changed = text.slice(0, change.from) + change.text + text.slice(change.to);
    const at = lines.findIndex((line, place) => place > index && isSpoken(line));
    const next = lines[at];
    // A tag may count for what comes behind the line as well, which has to stay what it was.
    const spreads = next && (await this._seedAt(changed, at, lines.length)) !== next.seed;
    if (text !== this._compose.text) {
      showError("The text has changed meanwhile. Keep the take again.");
      return;
    }
    const end = spreads ? next.from : change.to;
    const rest = spreads ? `${text.slice(change.to, end)}${tagOf(next, next.seed)} ` : "";
    replaceText(byId("text"), change.from, end, change.text + rest);
    say(`Line ${index + 1}: the take is ${isKept ? "no longer kept" : "kept"}.`);
  }

  /**
   * The seed of a line in another text, as the server reads it.
   * @param {string} text
   * @param {number} index
   * @param {number} count of its lines
   */
  async _seedAt(text, index, count) {
    const { seed } = this._script.lines[index];
    const body = { ...this._compose.preview(this._voices.chosen), text };
    const read = await this._api.post("v1/text", body).then((answer) => answer.json()).catch(() => null);
    return read?.parts?.length === count ? read.parts[index].seed : seed;
  }

  /** Draw the list where it differs from what is seen; the focus stays where it is. */
  _show() {
    const { lines, isScript } = this._script;
    byId("lines").hidden = !isScript;
    byId("generate").textContent = isScript ? "Speak all" : "Generate";
    const base = JSON.stringify(this._base);
    /** @type {Map<string, number>} */
    const equal = new Map(); // lines that are the same have takes of their own
    this._keys = lines.map((line) => {
      const key = `${base} ${tagOf(line, null)} ${line.text}`;
      equal.set(key, (equal.get(key) ?? 0) + 1);
      return `${equal.get(key)} ${key}`;
    });
    const rows = (isScript ? lines : []).slice(0, MOST_SHOWN).map((line, index) => this._about(line, index));
    const made = rows.filter(({ takes }) => takes.length).length;
    const more = lines.length > MOST_SHOWN ? `the first ${MOST_SHOWN} are shown` : "";
    const said = [counted(lines.filter(isSpoken).length, "line"), made ? `${made} made` : "", more];
    byId("lines-said").textContent = said.filter(Boolean).join(" · ");
    const told = JSON.stringify(rows);
    if (told === this._shown) return;
    this._shown = told;
    const at = document.activeElement;
    const row = this._list.contains(at) ? [...this._list.children].findIndex((one) => one.contains(at)) : -1;
    const act = at instanceof HTMLElement ? at.dataset.act : "";
    this._list.replaceChildren(...rows.map((about, index) => lineRow(about, index, this._actions)));
    this._list.children[row]?.querySelector(`[data-act="${act}"]`)?.focus({ preventScroll: true });
  }

  /**
   * What is seen of a line.
   * @param {import("./seeds.js").Line} line
   * @param {number} index
   */
  _about({ from, to, start, end, ...line }, index) {
    const key = this._keys[index];
    const takes = this._takes.of(key).map((take) => ({ seed: take.seed, heard: this._takes.hears(take) }));
    const making = this._takes.making === key;
    const heard = this._takes.hears(key) || takes.some((take) => take.heard);
    const [speaker, colour] = [this._script.speaker(line), this._script.colour(line)];
    return { line, speaker, colour, making, heard, takes };
  }
}
