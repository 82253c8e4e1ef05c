// What was spoken on this server: its job records, newest first.

import { byId, iconButton, make } from "./dom.js";
import { ago, clock } from "./format.js";
import { download } from "./result.js";

const LOOK_MS = 2500;
const ACTIVE = ["QUEUED", "PROCESSING"];
/** @type {Record<string, string>} */
const SAID = { QUEUED: "waiting", PROCESSING: "under way", ERROR: "failed", CANCELLED: "cancelled" };

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
    byId("history-again").addEventListener("click", () => this.load().catch(failed));
  }

  async load() {
    clearTimeout(this._timer);
    const { jobs } = await this._api.json("v1/jobs?limit=30");
    byId("history-empty").hidden = jobs.length > 0;
    byId("history-list").replaceChildren(...jobs.map((/** @type {any} */ job) => this._row(job)));
    if (jobs.some((/** @type {any} */ job) => ACTIVE.includes(job.status))) {
      this._timer = window.setTimeout(() => this.load().catch(() => {}), LOOK_MS);
    }
  }

  /** @param {any} job */
  _row(job) {
    const done = job.status === "COMPLETED";
    const text = job.text || "(no text)";
    const short = text.length > 40 ? `${text.slice(0, 40)}…` : text;
    const about = [
      job.voice,
      done ? clock(job.duration) : "",
      done ? job.format : "",
      ago(job.finished_at ?? job.created_at),
    ];
    const meta = make("span", { class: "quiet" }, about.filter(Boolean).join(" · "));
    const row = make("li", { class: "job" }, make("p", { class: "excerpt" }, text));
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
      await this.load();
    } catch (error) {
      this._failed(error);
    }
  }
}
