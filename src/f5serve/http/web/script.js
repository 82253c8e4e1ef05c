// The text as a script: who speaks where, shown by a colour and a name behind the text field.

import { byId, make } from "./dom.js";
import { moved } from "./edit.js";
import { counted } from "./format.js";
import { isSpoken, linesOf } from "./seeds.js";

const COLOURS = 8; // classes voice-0 to voice-7 of the style sheet

/** Emits "change" when there are other lines. */
export class Script extends EventTarget {
  /**
   * @param {import("./compose.js").Compose} compose
   * @param {import("./voices.js").Voices} voices
   * @param {import("./spoken.js").Spoken} spoken
   */
  constructor(compose, voices, spoken) {
    super();
    this._compose = compose;
    this._voices = voices;
    this._field = byId("text");
    this._backdrop = byId("backdrop");
    this._text = compose.text;
    this._frame = 0;
    /** @type {import("./seeds.js").Line[]} */
    this.lines = [];
    /** @type {string[]} voices in the order in which they got their colours */
    this._coloured = [];
    compose.addEventListener("change", () => this._edited());
    spoken.addEventListener("preview", (event) => {
      const { parts, text } = /** @type {CustomEvent} */ (event).detail;
      if (text === compose.text) this._read(parts ?? [], text);
    });
    this._field.addEventListener("scroll", () => this._follow());
    new ResizeObserver(() => this._paint()).observe(this._field);
  }

  /** Whether there is more than one way of speaking in the text. */
  get isScript() {
    const [first] = this.lines;
    if (!first) return false;
    const { voice, style, speed, seed, pause } = first;
    return this.lines.length > 1 || seed !== null || [voice, style, speed, pause].some(Boolean);
  }

  /**
   * The voice of a line, and its style.
   * @param {import("./seeds.js").Part} line
   */
  speaker({ voice, style }) {
    return [voice ?? this._voices.chosen, style].filter(Boolean).join(" · ");
  }

  /**
   * The class of a voice's colour. A voice keeps its colour while the text changes.
   * @param {import("./seeds.js").Part} line
   */
  colour({ voice }) {
    const name = voice ?? this._voices.chosen;
    if (!this._coloured.includes(name)) this._coloured.push(name);
    return `voice-${this._coloured.indexOf(name) % COLOURS}`;
  }

  /**
   * @param {import("./seeds.js").Part[]} parts
   * @param {string} text
   */
  _read(parts, text) {
    this._text = text;
    this.lines = linesOf(parts, text);
    this._showLegend();
    this._paint();
    this.dispatchEvent(new Event("change"));
  }

  /** Until the server has read the new text, lines keep what they were and move with the text. */
  _edited() {
    const { text } = this._compose;
    if (text === this._text) return;
    this.lines = text.trim() ? moved(this.lines, this._text, text) : [];
    this._text = text;
    this._frame ||= requestAnimationFrame(() => this._paint());
    if (this.lines.length) return;
    this._showLegend();
    this.dispatchEvent(new Event("change"));
  }

  _showLegend() {
    /** @type {Map<string, { colour: string, count: number }>} */
    const voices = new Map();
    for (const line of this.isScript ? this.lines : []) {
      if (!isSpoken(line)) continue;
      const name = line.voice ?? this._voices.chosen;
      const { count } = voices.get(name) ?? { count: 0 };
      voices.set(name, { colour: this.colour(line), count: count + 1 });
    }
    byId("legend").replaceChildren(
      ...[...voices].map(([name, { colour, count }]) =>
        make("li", { class: colour }, make("span", { class: "swatch" }), name, ", ", counted(count, "line")),
      ),
    );
  }

  /** Draw what is behind the text: the same text, unseen, on the colours of its voices. */
  _paint() {
    this._frame = 0;
    const shows = this.isScript;
    byId("script").classList.toggle("on", shows);
    this._backdrop.hidden = !shows;
    if (!shows) return;
    const nodes = [];
    let at = 0;
    for (const line of this.lines) {
      nodes.push(this._text.slice(at, line.from));
      const colour = this.colour(line);
      if (isSpoken(line)) nodes.push(make("span", { class: `name ${colour}` }, this.speaker(line)));
      nodes.push(make("span", { class: `said ${colour}` }, this._text.slice(line.from, line.to)));
      at = line.to;
    }
    this._backdrop.replaceChildren(...nodes, `${this._text.slice(at)}\n`);
    this._backdrop.style.inlineSize = `${this._field.clientWidth}px`; // without the scroll bar
    this._joinNames();
    this._follow();
  }

  /** Names that belong to the same row of text would lie over one another: they share one place. */
  _joinNames() {
    const names = /** @type {HTMLElement[]} */ ([...this._backdrop.querySelectorAll(":scope > .name")]);
    const tops = names.map(({ offsetTop }) => offsetTop);
    /** @type {HTMLElement | undefined} */
    let first;
    names.forEach((name, index) => {
      if (!first || tops[index] !== tops[index - 1]) {
        first = name;
        return;
      }
      const said = name.textContent ?? "";
      const isNew = !first.textContent?.split(", ").includes(said);
      if (isNew) first.append(", ", make("span", { class: name.className }, said));
      name.hidden = true;
    });
  }

  _follow() {
    this._backdrop.scrollTop = this._field.scrollTop;
  }
}
