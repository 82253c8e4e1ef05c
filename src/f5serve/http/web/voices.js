// The library: chosen from, listened to, removed from.

import { byId, iconButton, make, setIcon } from "./dom.js";
import { clock } from "./format.js";
import { confirmed, say } from "./notices.js";

const CHOSEN = "f5serve.voice";

export class Voices extends EventTarget {
  /**
   * Emits "sample" when a recording is about to be heard, "change" when the library or the choice
   * is another one.
   * @param {import("./api.js").Api} api
   * @param {(error: unknown) => void} failed
   */
  constructor(api, failed) {
    super();
    this._api = api;
    this._failed = failed;
    this._list = byId("voice-list");
    /** @type {any[]} */
    this.known = [];
    this._audio = new Audio();
    /** @type {Element | null} the button of the sample that is heard */
    this._heard = null;
    this._audio.addEventListener("ended", () => this.quiet());
    this._list.addEventListener("change", () => this._keep());
  }

  /** Id of the chosen voice. */
  get chosen() {
    return this._list.querySelector("input:checked")?.value ?? "default";
  }

  set chosen(id) {
    const found = [...this._list.querySelectorAll("input")].find((input) => input.value === id);
    if (!found) return;
    found.checked = true;
    this._keep();
  }

  /** Remember what was chosen, and say it beside the button. */
  _keep() {
    localStorage.setItem(CHOSEN, this.chosen);
    byId("as").textContent = `as ${this.chosen}`;
    this.dispatchEvent(new Event("change"));
  }

  async load() {
    /** @type {any[]} */
    const voices = [];
    for (let after = "", more = true; more; ) {
      const page = await this._api.json(`v1/audio/voices?after=${encodeURIComponent(after)}`);
      voices.push(...page.voices);
      more = page.has_more && page.last_id !== after;
      after = page.last_id;
    }
    this.known = voices;
    const chosen = localStorage.getItem(CHOSEN) ?? "default";
    const id = voices.some((/** @type {any} */ voice) => voice.id === chosen) ? chosen : "default";
    this._list.replaceChildren(...voices.map((/** @type {any} */ voice) => this._row(voice, id)));
    byId("as").textContent = `as ${id}`;
    this.dispatchEvent(new Event("change"));
  }

  /** Stop the sample. */
  quiet() {
    this._audio.pause();
    if (this._heard) setIcon(this._heard, "play");
    this._heard = null;
  }

  /**
   * @param {any} voice
   * @param {string} chosen
   */
  _row(voice, chosen) {
    const radio = make("input", { type: "radio", name: "voice", value: voice.id });
    radio.checked = voice.id === chosen;
    const about = [
      voice.duration_s ? clock(voice.duration_s) : "",
      voice.language,
      voice.builtin ? "built in" : "",
      voice.styles?.join(", "),
    ];
    const name = make("span", { class: "name" }, voice.name);
    const meta = make("span", { class: "quiet" }, about.filter(Boolean).join(" · "));
    const label = make("label", {}, radio, make("span", { class: "who" }, name, meta));
    if (voice.needs_review) label.append(make("span", { class: "badge" }, "check the transcript"));
    const play = iconButton("play", `Hear ${voice.name}`, () => this._hear(voice, play));
    const row = make("div", { class: "voice" }, label, play);
    if (!voice.builtin && !voice.read_only) {
      row.append(iconButton("trash", `Delete ${voice.name}`, () => this._remove(voice)));
    }
    return row;
  }

  /**
   * @param {any} voice
   * @param {Element} button
   */
  async _hear(voice, button) {
    const again = this._heard === button;
    this.quiet();
    if (again) return;
    this.dispatchEvent(new Event("sample"));
    this._heard = button;
    setIcon(button, "stop");
    try {
      const path = `v1/audio/voices/${encodeURIComponent(voice.id)}/sample`;
      const blob = await (await this._api.ask(path)).blob();
      if (this._heard !== button) return;
      URL.revokeObjectURL(this._audio.src);
      this._audio.src = URL.createObjectURL(blob);
      await this._audio.play();
    } catch (/** @type {any} */ error) {
      this.quiet();
      if (error.name !== "AbortError") this._failed(error);
    }
  }

  /** @param {any} voice */
  async _remove(voice) {
    const sentence = "Its recording and its words are removed from the server for good.";
    if (!(await confirmed(`Delete the voice ${voice.name}?`, sentence))) return;
    try {
      await this._api.ask(`v1/audio/voices/${encodeURIComponent(voice.id)}`, { method: "DELETE" });
      await this.load();
      say(`The voice ${voice.name} is deleted.`);
      byId("voice-new").focus();
    } catch (error) {
      this._failed(error);
    }
  }
}
