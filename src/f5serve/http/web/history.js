// What was spoken on this server: its job records, newest first.

import { byId, iconButton, make } from "./dom.js";
import { ago, clock } from "./format.js";
import { download } from "./result.js";

const SOON_MS = 2500; // the server's list is a little older than that at most
const LATER_MS = 20_000;
const PAGE = 30;
const ACTIVE = ["QUEUED", "PROCESSING"];
/** @type {Record<string, string>} */
const SAID = { QUEUED: "waiting", PROCESSING: "under way", ERROR: "failed", CANCELLED: "cancelled" };

/**
 * Whether a text goes on behind what the list holds of it.
 * @param {string | null} text
 */
function isCut(text) {
  return text !== null && text.length >= 100 && !/[.!?…。！？"”’)]$/u.test(text);
}

export class History {
  /**
   * @param {import("./api.js").Api} api
   * @param {object} actions what can be done with a job
   * @param {(job: any) => void} actions.open
   * @param {(job: any) => void} actions.reuse
   * @param {(error: unknown) => void} actions.failed
   */
  constructor(api, { open, reuse, failed }) {
    this._api = api;
    this._open = open;
    this._reuse = reuse;
    this._failed = failed;
    this._timer = 0;
    this._shown = "";
    this._pages = 1; // how many are asked for, one behind the other
    byId("history-again").addEventListener("click", () => this.load().catch(failed));
    byId("history-more").addEventListener("click", () => {
      this._pages += 1;
      this.load().catch(failed);
    });
  }

  /**
   * Show the newest jobs, and look again later.
   * @param {boolean} [soon] whether something has just changed
   */
  async load(soon = false) {
    clearTimeout(this._timer);
    const { jobs, next } = await this._ask(soon);
    this._show(jobs);
    byId("history-more").hidden = !next;
    const isActive = jobs.some((/** @type {any} */ job) => ACTIVE.includes(job.status));
    this._lookIn(soon || isActive ? SOON_MS : LATER_MS);
  }

  /**
   * The newest jobs, as many pages as are shown, and the cursor of the next one.
   * @param {boolean} quiet
   */
  async _ask(quiet) {
    /** @type {any[]} */
    const jobs = [];
    let next = "";
    for (let page = 0; page < this._pages; page += 1) {
      const after = next ? `&after=${encodeURIComponent(next)}` : "";
      const found = await this._api.json(`v1/jobs?limit=${PAGE}${after}`, { quiet });
      jobs.push(...found.jobs);
      next = found.next ?? "";
      if (!next) break;
    }
    return { jobs, next };
  }

  /** @param {number} milliseconds */
  _lookIn(milliseconds) {
    this._timer = window.setTimeout(() => {
      if (document.hidden) this._lookIn(LATER_MS);
      else this.load().catch(() => this._lookIn(LATER_MS));
    }, milliseconds);
  }

  /**
   * Draw the list where it differs from what is seen; the focus stays where it is.
   * @param {any[]} jobs
   */
  _show(jobs) {
    const told = JSON.stringify(jobs.map((job) => [job, ago(job.finished_at ?? job.created_at)]));
    if (told === this._shown) return;
    this._shown = told;
    const list = byId("history-list");
    const at = document.activeElement;
    const id = list.contains(at) ? at?.closest("li")?.id : null;
    const label = at?.getAttribute("aria-label");
    list.replaceChildren(...jobs.map((job) => this._row(job)));
    byId("history-empty").hidden = jobs.length > 0;
    const row = id ? document.getElementById(id) : null;
    for (const button of row?.querySelectorAll("button") ?? []) {
      if (button.getAttribute("aria-label") === label) button.focus();
    }
  }

  /** @param {any} job */
  _row(job) {
    const done = job.status === "COMPLETED";
    const text = `${job.text || "(no text)"}${isCut(job.text) ? "…" : ""}`;
    const short = text.length > 40 ? `${text.slice(0, 40)}…` : text;
    const about = [
      job.voice,
      done ? clock(job.duration) : "",
      ago(job.finished_at ?? job.created_at),
    ];
    const meta = make("span", { class: "quiet" }, about.filter(Boolean).join(" · "));
    const row = make("li", { class: "job", id: `job-${job.job_id}` }, make("p", { class: "excerpt" }, text));
    const line = make("div", { class: "row" }, meta);
    if (!done) line.append(make("span", { class: `badge ${job.status}` }, this._state(job)));
    const buttons = make("span", { class: "buttons" });
    if (done) {
      buttons.append(
        iconButton("play", `Open and play: ${short}`, () => this._open(job)),
        iconButton("download", `Download: ${short}`, () => this._save(job)),
      );
    }
    if (ACTIVE.includes(job.status)) {
      buttons.append(iconButton("close", `Cancel: ${short}`, () => this._cancel(job)));
    }
    if (job.text) {
      buttons.append(iconButton("again", `Use this text again: ${short}`, () => this._reuse(job)));
    }
    line.append(buttons);
    if (job.failure) row.append(make("p", { class: "failure" }, job.failure.message));
    row.append(line);
    return row;
  }

  /** @param {any} job */
  _state(job) {
    const percent = job.progress?.percent;
    const said = SAID[job.status] ?? job.status.toLowerCase();
    return job.status === "PROCESSING" && percent ? `${said}, ${Math.round(percent)} %` : said;
  }

  /** @param {any} job */
  async _save(job) {
    try {
      const answer = await this._api.ask(`v1/jobs/${encodeURIComponent(job.job_id)}/audio`);
      download(await answer.blob(), `f5serve-${job.job_id.slice(0, 12)}.${job.format}`);
    } catch (error) {
      this._failed(error);
    }
  }

  /** @param {any} job */
  async _cancel(job) {
    try {
      await this._api.ask(`v1/jobs/${encodeURIComponent(job.job_id)}`, { method: "DELETE" });
      await this.load(true);
    } catch (error) {
      this._failed(error);
    }
  }
}
