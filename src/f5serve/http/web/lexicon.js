// Rules of pronunciation, of all voices or of the chosen one: listed, added, removed, as files.

import { byId, iconButton, make } from "./dom.js";
import { clearError, showError } from "./notices.js";
import { download } from "./result.js";

const MOST_SHOWN = 200;
const FEW = 10;
const JSON_TYPE = "application/json";
const PLS_TYPE = "application/pls+xml";

export class Lexicon {
  /**
   * @param {import("./api.js").Api} api
   * @param {import("./voices.js").Voices} voices
   */
  constructor(api, voices) {
    this._api = api;
    this._voices = voices;
    this._dialog = byId("lexicon-dialog");
    this._alert = byId("lexicon-alert");
    /** @type {any[]} */
    this._rules = [];
    byId("lexicon-open").addEventListener("click", () => this.open());
    byId("lexicon-close").addEventListener("click", () => this._dialog.close());
    byId("lexicon-of").addEventListener("change", () => this._load());
    byId("lexicon-find").addEventListener("input", () => this._show());
    byId("lexicon-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this._add();
    });
    byId("lexicon-import").addEventListener("click", () => byId("lexicon-file").click());
    byId("lexicon-file").addEventListener("change", () => this._import());
    for (const format of ["json", "pls"]) {
      byId(`lexicon-${format}`).addEventListener("click", () => this._export(format));
    }
  }

  /** Show the rules for all voices; those of the chosen voice are one choice away. */
  open() {
    const voice = this._voices.chosen;
    byId("lexicon-of").replaceChildren(
      make("option", { value: "" }, "All voices"),
      make("option", { value: voice }, `Only ${voice}`),
    );
    this._dialog.showModal();
    byId("lexicon-text").focus();
    return this._load();
  }

  get _voice() {
    return byId("lexicon-of").value;
  }

  get _path() {
    return this._voice ? `v1/lexicons/voices/${encodeURIComponent(this._voice)}` : "v1/lexicons/library";
  }

  /** @param {string} [said] what was done before */
  async _load(said = "") {
    clearError(this._alert);
    byId("lexicon-find").value = "";
    const path = this._path;
    try {
      const { rules } = await this._api.json(path);
      if (path !== this._path) return; // another lexicon was chosen meanwhile
      this._rules = rules;
    } catch (error) {
      this._rules = [];
      showError(error, this._alert);
    }
    this._show(said);
  }

  /** @param {string} [said] */
  _show(said = "") {
    const wanted = byId("lexicon-find").value.trim().toLowerCase();
    const found = this._rules.filter(
      ({ text, alias, pinyin }) => !wanted || `${text}\n${alias ?? pinyin}`.toLowerCase().includes(wanted),
    );
    const shown = found.slice(0, MOST_SHOWN);
    byId("lexicon-list").replaceChildren(...shown.map((rule) => this._row(rule)));
    byId("lexicon-find").parentElement.hidden = this._rules.length <= FEW;
    const count = this._rules.length === 1 ? "1 rule" : `${this._rules.length} rules`;
    const part = shown.length < this._rules.length ? `, ${shown.length} of them shown` : "";
    byId("lexicon-count").textContent = [said, `${count}${part}.`].filter(Boolean).join(" ");
    for (const format of ["json", "pls"]) byId(`lexicon-${format}`).disabled = !this._rules.length;
  }

  /** @param {any} rule */
  _row(rule) {
    const about = [
      rule.pinyin ? "pinyin" : "",
      rule.language,
      rule.case_sensitive ? "same capitals" : "",
      rule.word_boundaries ? "" : "inside words",
    ];
    return make(
      "li",
      { class: "rule" },
      make("span", { class: "from" }, rule.text),
      make("span", { class: "to" }, rule.alias ?? rule.pinyin),
      make("span", { class: "quiet" }, about.filter(Boolean).join(" · ")),
      iconButton("trash", `Remove ${rule.text}`, () => this._remove(rule)),
    );
  }

  async _add() {
    const text = byId("lexicon-text").value.trim();
    const spoken = byId("lexicon-spoken").value.trim();
    if (!text || !spoken) {
      showError("Say what is written, and what is spoken in its place.", this._alert);
      byId(text ? "lexicon-spoken" : "lexicon-text").focus();
      return;
    }
    const rule = {
      text,
      [byId("lexicon-pinyin").checked ? "pinyin" : "alias"]: spoken,
      case_sensitive: byId("lexicon-capitals").checked,
      word_boundaries: !byId("lexicon-inside").checked,
    };
    if (!(await this._change(JSON.stringify({ add: [rule] }), JSON_TYPE, `${text} is added.`))) return;
    byId("lexicon-form").reset();
    byId("lexicon-text").focus();
  }

  /** @param {any} rule */
  async _remove(rule) {
    const { text, language = "", case_sensitive } = rule;
    const place = [...byId("lexicon-list").children].findIndex((row) => row.contains(document.activeElement));
    const body = JSON.stringify({ remove: [{ text, language, case_sensitive }] });
    if (!(await this._change(body, JSON_TYPE, `${text} is removed.`))) return;
    // The focused button is gone: its place is taken by the next one.
    const buttons = byId("lexicon-list").querySelectorAll("button");
    (buttons[Math.min(place, buttons.length - 1)] ?? byId("lexicon-text")).focus();
  }

  async _import() {
    const field = byId("lexicon-file");
    const file = field.files[0];
    field.value = ""; // so that the same file can be chosen again
    if (!file) return;
    const isXml = (await file.slice(0, 100).text()).trimStart().startsWith("<");
    await this._change(file, isXml ? PLS_TYPE : JSON_TYPE, `${file.name} is imported.`);
  }

  /**
   * Change the lexicon, and show it; whether that went well.
   * @param {string | Blob} body
   * @param {string} type
   * @param {string} said
   */
  async _change(body, type, said) {
    clearError(this._alert);
    try {
      await this._api.ask(this._path, { method: "PATCH", headers: { "Content-Type": type }, body });
    } catch (error) {
      showError(error, this._alert);
      return false;
    }
    await this._load(said);
    return true;
  }

  /** @param {string} format */
  async _export(format) {
    clearError(this._alert);
    try {
      const answer = await this._api.ask(`${this._path}?format=${format}`);
      download(await answer.blob(), `lexicon-${this._voice || "library"}.${format}`);
    } catch (error) {
      showError(error, this._alert);
    }
  }
}
