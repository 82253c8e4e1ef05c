// What will be spoken for the text: asked for while it is written, shown below it.

import { byId, make } from "./dom.js";
import { counted, roughly } from "./format.js";

const PAUSE_MS = 400; // after the last key

/**
 * @typedef {object} Preview of /v1/text
 * @property {string} text
 * @property {string | null} language
 * @property {string} spoken_text
 * @property {{ start: number, end: number, written: string, spoken: string }[]} changes
 * @property {{ duration: number }[]} utterances
 * @property {string[] | null} unspeakable
 * @property {string[]} warnings
 * @property {import("./seeds.js").Part[]} [parts] of a script
 */

export class Spoken extends EventTarget {
  /**
   * Emits "preview" with each answer of the server.
   * @param {import("./api.js").Api} api
   * @param {import("./compose.js").Compose} compose
   * @param {import("./voices.js").Voices} voices
   */
  constructor(api, compose, voices) {
    super();
    this._api = api;
    this._compose = compose;
    this._voices = voices;
    this._timer = 0;
    this._asked = "";
    this._asking = new AbortController();
    compose.addEventListener("change", () => this.refresh());
    voices.addEventListener("change", () => this.refresh(true));
    byId("lexicon-dialog").addEventListener("close", () => this.refresh(true));
  }

  /**
   * Ask once nothing more is typed, and there is something new to ask.
   * @param {boolean} [anew] ask in any case: voices or rules of pronunciation may have changed
   */
  refresh(anew = false) {
    if (anew) this._asked = "";
    clearTimeout(this._timer);
    this._timer = window.setTimeout(() => this._ask(), PAUSE_MS);
  }

  async _ask() {
    const body = this._compose.preview(this._voices.chosen);
    const asked = body ? JSON.stringify(body) : "";
    if (!body) byId("spoken").hidden = true;
    if (body && asked === this._asked) return;
    this._asked = asked;
    this._asking.abort(); // an earlier answer is of no use any more
    if (!body) return;
    const { signal } = (this._asking = new AbortController());
    try {
      const headers = { "Content-Type": "application/json" };
      const init = { method: "POST", headers, body: asked, signal, quiet: true };
      const preview = await this._api.json("v1/text", init);
      if (!signal.aborted) this._show(preview, body);
    } catch (/** @type {any} */ error) {
      if (signal.aborted) return;
      this._asked = ""; // so that the next key asks again
      this._fail(error);
    }
  }

  /**
   * @param {Preview} preview
   * @param {{ text: string, speed: number }} body that was sent
   */
  _show(preview, body) {
    const { language, changes, utterances, unspeakable, warnings } = preview;
    const seconds = utterances.reduce((sum, { duration }) => sum + duration, 0);
    this._compose.plan(body, seconds);
    const notes = [...warnings];
    if (unspeakable?.length) notes.unshift(`Not spoken, the model has no sound for: ${unspeakable.join(" ")}`);
    const said = [
      changes.length ? counted(changes.length, "change") : "as written",
      `${counted(utterances.length, "utterance")}, about ${roughly(seconds)}`,
      notes.length ? counted(notes.length, "note") : "",
    ];
    byId("spoken").hidden = false;
    byId("spoken-said").textContent = said.filter(Boolean).join(" · ");
    const box = byId("spoken-text");
    box.lang = language ?? "";
    box.replaceChildren(...marked(preview));
    byId("spoken-notes").replaceChildren(...notes.map((note) => make("li", {}, note)));
    const { parts } = preview;
    this.dispatchEvent(new CustomEvent("preview", { detail: { parts, text: body.text } }));
  }

  /** @param {Error} error */
  _fail(error) {
    byId("spoken").hidden = false;
    byId("spoken-said").textContent = error.message;
    byId("spoken-text").replaceChildren();
    byId("spoken-notes").replaceChildren();
  }
}

/**
 * The spoken text, with what is not as written in marks that show the written form.
 * @param {Preview} preview
 * @returns {(Node | string)[]}
 */
export function marked({ text, spoken_text, changes }) {
  const written = [...text]; // places are in characters, not in UTF-16
  const spoken = [...spoken_text];
  const parts = [];
  let at = 0;
  let end = 0;
  for (const change of changes) {
    const same = after(spoken, at, written.slice(end, change.start));
    const stop = after(spoken, same, [...change.spoken]);
    const begin = stop > same ? afterSpace(spoken, same) : same;
    parts.push(spoken.slice(at, begin).join(""), mark(change, spoken.slice(begin, stop).join("")));
    at = stop;
    end = change.end;
  }
  parts.push(spoken.slice(at).join(""));
  return parts;
}

/**
 * Where `part`, which comes next in `spoken`, ends there; spaces may differ.
 * @param {string[]} spoken
 * @param {number} at
 * @param {string[]} part
 */
function after(spoken, at, part) {
  for (const char of part) {
    if (!char.trim()) continue;
    const next = afterSpace(spoken, at);
    if (spoken[next] === char) at = next + 1;
  }
  return at;
}

/**
 * @param {string[]} spoken
 * @param {number} at
 */
function afterSpace(spoken, at) {
  while (at < spoken.length && !spoken[at].trim()) at += 1;
  return at;
}

/**
 * @param {{ written: string, spoken: string }} change
 * @param {string} shown
 */
function mark({ written, spoken }, shown) {
  if (!spoken) return make("del", { title: "not spoken" }, written);
  const aloud = make("span", { class: "unseen" }, ` for ${written.trim()}`); // titles are not read
  return make("mark", { title: written.trim() }, shown, aloud);
}
