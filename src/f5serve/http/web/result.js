// What was spoken: heard, seen, followed word by word, and taken away as files.

import { byId, icon, make, setIcon } from "./dom.js";
import { clock } from "./format.js";
import { wavFile } from "./pcm.js";
import { Waveform } from "./waveform.js";
import { Words } from "./words.js";

const SUBTITLES = ["srt", "vtt", "ass", "csv", "json"];

export class Result {
  /**
   * @param {import("./api.js").Api} api
   * @param {import("./player.js").Player} player
   * @param {(error: unknown) => void} failed
   */
  constructor(api, player, failed) {
    this._api = api;
    this._player = player;
    this._failed = failed;
    this._card = byId("result");
    this._words = new Words(byId("words"), (seconds) => {
      player.seek(seconds);
      player.play();
    });
    this._waveform = new Waveform(byId("wave"), player, this._words);
    byId("play").addEventListener("click", () => player.toggle());
    player.addEventListener("change", () => this._changed());
    this._frame = 0;
  }

  /**
   * Make room for speech that is about to come.
   * @param {string} text
   * @param {string} about voice and such
   * @param {number} expected seconds
   */
  expect(text, about, expected) {
    this._card.hidden = false;
    this._card.classList.remove("stopped");
    this._waveform.expected = expected;
    this._waveform.reset();
    this._words.show(text, []);
    this._show(about, []);
    byId("downloads").replaceChildren();
    this._changed();
  }

  /** The speech was given up; what has come so far can still be heard. */
  stopped() {
    this._player.finish();
    if (this._player.duration) this._downloads("", {});
    else this._card.hidden = true;
  }

  /**
   * Everything is known now.
   * @param {string} jobId
   * @param {any} result of /v1/jobs/{id}/result
   */
  complete(jobId, result) {
    const words = (result.word_timings ?? []).map((/** @type {any} */ word) => ({
      word: word.word,
      start: word.start_time,
      end: word.end_time,
    }));
    this._words.show(result.text, words);
    const seed = result.seed === null || result.seed === undefined ? "" : `seed ${result.seed}`;
    const cached = result.cached ? "made earlier" : "";
    const about = [result.voice, clock(result.duration), result.model, seed, cached];
    this._show(about.filter(Boolean).join(" · "), result.warnings ?? []);
    this._downloads(jobId, result);
    this._changed();
  }

  /** Draw anew, as after a change of colours. */
  draw() {
    this._waveform.draw(true);
  }

  /**
   * @param {string} about
   * @param {string[]} warnings
   */
  _show(about, warnings) {
    byId("result-about").textContent = about;
    byId("result-warnings").replaceChildren(...warnings.map((said) => make("li", {}, said)));
  }

  /**
   * Buttons for what there is.
   * @param {string} jobId
   * @param {any} result
   */
  _downloads(jobId, result) {
    const path = `v1/jobs/${encodeURIComponent(jobId)}`;
    const stem = `f5serve-${jobId.slice(0, 12) || "speech"}`;
    const buttons = [];
    if (result.format && result.format !== "pcm") {
      const name = `${stem}.${result.format}`;
      buttons.push(this._button(result.format, name, () => this._fetched(`${path}/audio`)));
    }
    if (result.format !== "wav") {
      const made = async () => wavFile(this._player.samples, this._player.sampleRate);
      buttons.push(this._button("wav", `${stem}.wav`, made));
    }
    // The server writes each from the times of the words, whichever was asked for.
    for (const format of result.word_timings?.length ? SUBTITLES : []) {
      const get = () => this._fetched(`${path}/timings/${format}`);
      buttons.push(this._button(format, `${stem}.${format}`, get));
    }
    if (result.script) {
      const seeded = async () => new Blob([result.script], { type: "text/plain" });
      buttons.push(this._button("txt", `${stem}.txt`, seeded)); // a script with the seeds of its takes
    }
    byId("downloads").replaceChildren(make("span", { class: "quiet" }, "Download"), ...buttons);
  }

  /**
   * @param {string} format
   * @param {string} name of the file
   * @param {() => Promise<Blob>} bring
   */
  _button(format, name, bring) {
    const onclick = () => bring().then((blob) => download(blob, name), this._failed);
    const attributes = { type: "button", class: "chip", "aria-label": `Download ${format}`, onclick };
    return make("button", attributes, icon("download", true), format.toUpperCase());
  }

  /** @param {string} path */
  async _fetched(path) {
    return (await this._api.ask(path)).blob();
  }

  _changed() {
    const { playing, duration } = this._player;
    const button = byId("play");
    setIcon(button, playing ? "pause" : "play");
    button.setAttribute("aria-label", playing ? "Pause" : "Play");
    button.disabled = !duration;
    this._waveform.grow();
    this._paint();
    if (playing && !this._frame) this._frame = requestAnimationFrame(() => this._next());
  }

  _next() {
    this._frame = 0;
    this._paint();
    if (this._player.playing) this._frame = requestAnimationFrame(() => this._next());
  }

  _paint() {
    const { time, duration, playing } = this._player;
    this._words.follow(playing || time ? time : -1);
    this._waveform.draw();
    const shown = `${clock(time)} / ${clock(duration)}`;
    if (byId("clock").textContent !== shown) byId("clock").textContent = shown;
    this._waveform.describe();
  }
}

/**
 * Have the browser keep a file.
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
