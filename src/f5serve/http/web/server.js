// What answers: model, state, licence; and that a stand-in is no clone.

import { byId, make } from "./dom.js";
import { roughly } from "./format.js";

const LOADING_MS = 1500;
const READY_MS = 15_000;
/** @type {Record<string, string>} */
const STATES = {
  ok: "Ready",
  loading: "Loading the model",
  degraded: "Degraded",
  failed: "Failed",
  ending: "Ending",
};

/** @param {any} model of several */
function saidModel({ name, state, progress }) {
  const part = state === "loading" && progress ? ` ${Math.round(100 * progress)} %` : "";
  return state === "unloaded" ? name : `${name} (${state}${part})`;
}

export class Server {
  /**
   * @param {import("./api.js").Api} api
   * @param {(load: { queue_s: number, rtf: number }) => void} loaded told how busy it is
   */
  constructor(api, loaded) {
    this._api = api;
    this._loaded = loaded;
    this._timer = 0;
    /** @type {any} the model that speaks, as /v1/models tells it */
    this._model = null;
    document.addEventListener("click", (event) => {
      const details = byId("server");
      if (details.open && !details.contains(event.target)) details.open = false;
    });
    byId("server").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Escape") return;
      byId("server").open = false;
      byId("server").querySelector("summary").focus();
    });
  }

  /** Look, now and then. A tab that is not seen does not ask. */
  async watch() {
    clearTimeout(this._timer);
    let wait = READY_MS;
    if (!document.hidden) {
      try {
        const health = await this._api.json("health", { quiet: true });
        if (health.status === "loading") wait = LOADING_MS;
        await this._show(health);
      } catch (error) {
        this._showState("failed", "No answer");
      }
    }
    this._timer = window.setTimeout(() => this.watch(), wait);
  }

  /** @param {any} health */
  async _show(health) {
    const { model, queue, metrics } = health;
    if (model?.state === "ready" && this._model?.id !== model.name) await this._lookUp();
    const state = STATES[health.status] ?? health.status;
    this._showState(health.status, health.status === "ok" && model?.name ? model.name : state);
    this._loaded({ queue_s: queue?.estimated_s ?? 0, rtf: metrics?.rtf ?? 0 });
    const facts = [
      ["State", state],
      ["Model", model?.name],
      ["Models", (health.models ?? []).length > 1 ? health.models.map(saidModel).join(", ") : ""],
      ["Device", health.device],
      ["Store", health.store],
      ["Waiting", queue ? `${queue.jobs} jobs${queue.estimated_s ? `, ${roughly(queue.estimated_s)}` : ""}` : ""],
      ["Version", health.version],
    ];
    byId("server-facts").replaceChildren(
      ...facts
        .filter(([, value]) => value)
        .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]),
    );
    const found = (health.doctor ?? []).map((/** @type {any} */ { what, fix }) => `${what} ${fix}`);
    byId("server-found").replaceChildren(
      ...found.map((/** @type {string} */ said) => make("li", {}, said)),
    );
  }

  async _lookUp() {
    try {
      const { data } = await this._api.json("v1/models", { quiet: true });
      this._model = data.find((/** @type {any} */ model) => model.state === "loaded") ?? null;
    } catch {
      return; // a key is missing; others ask for it
    }
    if (!this._model) return;
    const { id, licence, commercial_use, kind, note } = this._model;
    const strip = byId("strip");
    strip.hidden = kind === "f5";
    strip.textContent =
      "A stand-in is speaking: it clones nothing, whichever voice is chosen. " +
      "For cloned voices the server needs F5-TTS: f5serve models pull F5TTS_v1_Base.";
    const permits = commercial_use === false ? ", not for commercial use" : "";
    const terms = licence ? `${id}: ${licence}${permits}.` : `${id}: its licence is not known.`;
    byId("server-licence").textContent = [terms, note].filter(Boolean).join(" ");
    byId("foot").textContent = `Clone only voices of people who agree to it. Model ${terms}`;
  }

  /**
   * @param {string} status
   * @param {string} said
   */
  _showState(status, said) {
    byId("server-dot").className = `dot ${status}`;
    byId("server-name").textContent = said;
  }
}
