// Tags of scripts, put into the text from a menu.

import { byId } from "./dom.js";
import { replaceText } from "./edit.js";
import { Menu } from "./menu.js";

const PAUSES_S = [0.5, 1];
const SPEEDS = [0.8, 0.9, 1.1, 1.25];
const MOST_VOICES = 200;
const BEGINNINGS =
  /^[ \t]*([\w.-]{1,64}):[ \t]|\[(?:voice:)?[ ]?([\w.-]{1,64})\]|"name": ?"([^"\n]{1,64})"|\[(\/)\]/gmu;

export class Insert {
  /** @param {import("./voices.js").Voices} voices */
  constructor(voices) {
    this._field = byId("text");
    this._voices = voices;
    const menu = new Menu(byId("insert"), byId("insert-menu"), () => this._groups());
    this._field.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "i" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
      event.preventDefault();
      menu.open();
    });
  }

  /** @returns {import("./menu.js").Group[]} */
  _groups() {
    const { known, chosen } = this._voices;
    const before = this._field.value.slice(0, this._field.selectionStart);
    const ids = known.map(({ id }) => id);
    const voice = voiceBefore(before, ids, chosen);
    const styles = known.find(({ id }) => id === voice)?.styles ?? [];
    const item = (/** @type {string} */ label, /** @type {string} */ tag) => {
      return { label, act: () => this._put(tag) };
    };
    return [
      { label: "Pause", items: PAUSES_S.map((s) => item(`${s} s of silence`, `[pause:${s}s]`)) },
      { label: "Voice", items: ids.slice(0, MOST_VOICES).map((id) => item(id, `[voice:${id}]`)) },
      {
        label: `Style of ${voice}`,
        items: styles.map((/** @type {string} */ style) => item(style, `[style:${style}]`)),
      },
      { label: "Speed", items: SPEEDS.map((speed) => item(`${speed} times`, `[speed:${speed}]`)) },
      { label: "End", items: [item("End of the tag", "[/]")] },
    ];
  }

  /**
   * Put a tag where the cursor is; around what is selected, but for a pause, which comes behind it.
   * @param {string} tag
   */
  _put(tag) {
    const { selectionStart, selectionEnd, value } = this._field;
    const wraps = !tag.startsWith("[pause") && tag !== "[/]" && selectionEnd > selectionStart;
    const from = wraps ? selectionStart : selectionEnd;
    const around = wraps ? `${tag} ${value.slice(selectionStart, selectionEnd).trim()} [/]` : tag;
    const before = from === 0 || /\s/u.test(value[from - 1]) ? "" : " ";
    const after = /\s/u.test(value[selectionEnd] ?? "") ? "" : " ";
    this._field.focus();
    replaceText(this._field, from, selectionEnd, before + around + after);
  }
}

/**
 * Who speaks behind a text: the last voice that it names.
 * @param {string} text
 * @param {string[]} known
 * @param {string} chosen the voice of what names none
 */
export function voiceBefore(text, known, chosen) {
  for (const [, label, tag, name, end] of [...text.matchAll(BEGINNINGS)].reverse()) {
    if (end) return chosen;
    const said = (label ?? tag ?? name).toLowerCase();
    const found = known.find((id) => id.toLowerCase() === said);
    if (found) return found;
  }
  return chosen;
}
