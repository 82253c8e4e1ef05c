// A book that is to be spoken: its file, the plan, the chapters and the voices.

import { acceptDrops, byId, iconButton, make } from "./dom.js";
import { counted, roughly } from "./format.js";
import { clearError, say, showError } from "./notices.js";

/** @typedef {{ voice: string, style?: string }} Speaker */

export class NewBook {
  /**
   * @param {import("./api.js").Api} api
   * @param {import("./voices.js").Voices} voices
   * @param {(book: any) => void} begun told of the book once it is being spoken
   */
  constructor(api, voices, begun) {
    this._api = api;
    this._voices = voices;
    this._begun = begun;
    this._alert = byId("book-alert");
    /** @type {File | null} */
    this._file = null;
    this._url = "";
    /** @type {any} */
    this._plan = null;
    byId("book-choose").addEventListener("click", () => byId("book-file").click());
    byId("book-file").addEventListener("change", () => this._take(byId("book-file").files[0]));
    byId("book-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this._take(null, byId("book-url").value.trim());
    });
    byId("plan-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this._start();
    });
    byId("plan-form").addEventListener("change", () => this._measure());
    byId("plan-all").addEventListener("click", () => this._choose(() => true));
    byId("plan-none").addEventListener("click", () => this._choose(() => false));
    byId("plan-cancel").addEventListener("click", () => {
      this._reset();
      byId("book-choose").focus();
    });
    byId("cast-add").addEventListener("click", () => this._addSpeaker());
    voices.addEventListener("change", () => this._measure());
    acceptDrops(byId("book-drop"), (file) => this._take(file));
  }

  /**
   * Read a book, and show its plan.
   * @param {File | null | undefined} file
   * @param {string} [url]
   */
  async _take(file, url = "") {
    if (!file && !url) return;
    this._reset();
    this._file = file ?? null;
    this._url = url;
    byId("book-url").value = url;
    byId("book-said").textContent = "Reading the book…";
    try {
      this._plan = await this._api.json("v1/books/plan", { method: "POST", body: this._body() });
      this._show();
    } catch (error) {
      this._reset();
      showError(error, this._alert);
    }
  }

  _body() {
    const body = new FormData();
    if (this._file) body.set("file", this._file);
    else body.set("url", this._url);
    return body;
  }

  _show() {
    const { title, authors, chapters } = this._plan;
    byId("book-said").textContent = "";
    byId("plan-title").textContent = title;
    byId("plan-authors").textContent = authors.join(", ");
    byId("plan-list").replaceChildren(...chapters.map((/** @type {any} */ one) => planRow(one)));
    byId("plan-form").hidden = false;
    this._measure();
    byId("plan-start").focus();
  }

  /** The chapters whose boxes are ticked. */
  get _chosen() {
    const boxes = [...byId("plan-list").querySelectorAll("input")];
    return this._plan.chapters.filter((/** @type {any} */ _, /** @type {number} */ index) => boxes[index].checked);
  }

  /** @param {() => boolean} wanted */
  _choose(wanted) {
    for (const box of byId("plan-list").querySelectorAll("input")) box.checked = wanted();
    this._measure();
  }

  _measure() {
    if (!this._plan) return;
    const chosen = this._chosen;
    const sum = (/** @type {string} */ name) =>
      chosen.reduce((/** @type {number} */ total, /** @type {any} */ one) => total + one[name], 0);
    byId("plan-total").textContent = [
      counted(chosen.length, "chapter"),
      counted(sum("characters"), "character"),
      `about ${roughly(sum("duration"))}`,
      ...this._needed(sum("duration")),
      `as ${this._voices.chosen}`,
    ].join(" · ");
    byId("plan-start").disabled = !chosen.length;
  }

  /**
   * What the device needs for a part of the plan, where that is known.
   * @param {number} duration of the speech, seconds
   */
  _needed(duration) {
    const { device_s, cost_usd } = this._plan;
    const share = duration / (this._plan.duration || 1);
    return [
      ...(device_s === null ? [] : [`${roughly(device_s * share)} of the device`]),
      ...(cost_usd === null ? [] : [`USD ${(cost_usd * share).toFixed(2)}`]),
    ];
  }

  /** Every voice, and every style of it. */
  get _speakers() {
    return this._voices.known.flatMap((voice) => [
      { said: voice.name, speaker: { voice: voice.id } },
      ...(voice.styles ?? []).map((/** @type {string} */ style) => ({
        said: `${voice.name}, ${style}`,
        speaker: { voice: voice.id, style },
      })),
    ]);
  }

  _addSpeaker() {
    const options = this._speakers.map(({ said, speaker }) =>
      make("option", { value: JSON.stringify(speaker) }, said),
    );
    const name = make("input", { type: "text", maxlength: "64", autocomplete: "off" });
    const row = make(
      "li",
      { class: "cast-row" },
      make("label", {}, "Name in the book", name),
      make("label", {}, "Voice", make("select", {}, ...options)),
      iconButton("trash", "Remove this speaker", () => {
        row.remove();
        byId("cast-add").focus();
      }),
    );
    byId("cast-list").append(row);
    name.focus();
  }

  /** @returns {Record<string, Speaker>} voices by the names in the book */
  get _cast() {
    const rows = [...byId("cast-list").querySelectorAll(".cast-row")];
    const named = rows.map((row) => [
      row.querySelector("input").value.trim(),
      JSON.parse(row.querySelector("select").value),
    ]);
    return Object.fromEntries(named.filter(([name]) => name));
  }

  async _start() {
    clearError(this._alert);
    const body = this._body();
    body.set("voice", this._voices.chosen);
    const chosen = this._chosen.map((/** @type {any} */ one) => one.number);
    const usual = this._plan.chapters.filter((/** @type {any} */ one) => one.spoken);
    if (String(chosen) !== String(usual.map((/** @type {any} */ one) => one.number))) {
      body.set("chapters", ranges(chosen));
    }
    const speakers = this._cast;
    if (Object.keys(speakers).length) body.set("options", JSON.stringify({ speakers }));
    byId("plan-start").disabled = true;
    try {
      const book = await this._api.json("v1/books", { method: "POST", body });
      this._reset();
      say(`${book.title} is being spoken.`);
      this._begun(book);
    } catch (error) {
      showError(error, this._alert);
      byId("plan-start").disabled = false;
    }
  }

  _reset() {
    this._plan = null;
    this._file = null;
    byId("book-form").reset();
    byId("plan-form").reset();
    byId("plan-form").hidden = true;
    byId("cast-list").replaceChildren();
    byId("book-said").textContent = "";
    clearError(this._alert);
  }
}

/** @param {any} chapter of a plan */
function planRow({ number, title, characters, duration, spoken, reason }) {
  const box = make("input", { type: "checkbox", checked: spoken });
  const about = [counted(characters, "character"), `about ${roughly(duration)}`, reason ?? ""];
  const who = make(
    "span",
    { class: "who" },
    make("span", { class: "name" }, `${number}. ${title}`),
    make("span", { class: "quiet" }, about.filter(Boolean).join(" · ")),
  );
  return make("li", {}, make("label", { class: "check" }, box, who));
}

/**
 * Numbers as "1-3,5".
 * @param {number[]} numbers in their order
 */
export function ranges(numbers) {
  /** @type {number[][]} */
  const found = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}
