// A recording becomes a voice: dropped, chosen or made here, with its words and the consent.

import { acceptDrops, byId, setIcon } from "./dom.js";
import { clock } from "./format.js";
import { clearError, say, showError } from "./notices.js";
import { MAX_S, Recorder } from "./recorder.js";

const READ_ALOUD =
  "On clear mornings I walk down to the harbour, count the boats that came in overnight, " +
  "and buy warm bread from the woman on the corner.";

export class NewVoice {
  /**
   * @param {import("./api.js").Api} api
   * @param {import("./voices.js").Voices} voices
   */
  constructor(api, voices) {
    this._api = api;
    this._voices = voices;
    this._dialog = byId("voice-dialog");
    this._alert = byId("voice-alert");
    /** @type {File | null} */
    this._file = null;
    this._recorder = new Recorder((level, seconds) => this._heard(level, seconds));
    byId("read-aloud").textContent = READ_ALOUD;
    byId("voice-new").addEventListener("click", () => this.open());
    for (const id of ["voice-close", "voice-cancel"]) {
      byId(id).addEventListener("click", () => this._dialog.close());
    }
    this._dialog.addEventListener("close", () => this._reset());
    byId("voice-choose").addEventListener("click", () => byId("voice-file").click());
    byId("voice-file").addEventListener("change", () => this._take(byId("voice-file").files[0]));
    byId("voice-record").addEventListener("click", () => this._record());
    byId("voice-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this._save();
    });
    for (const id of ["drop", "voices"]) acceptDrops(byId(id), (file) => this.open(file));
  }

  /** @param {File} [file] */
  open(file) {
    if (!this._dialog.open) this._dialog.showModal();
    if (file) this._take(file);
  }

  /** @param {File | null | undefined} file */
  _take(file) {
    if (!file) return;
    clearError(this._alert);
    this._file = file;
    byId("drop-said").textContent = file.name;
    const name = byId("voice-name");
    if (!name.value && file.name !== "recording.wav") name.value = named(file.name);
    const preview = byId("voice-preview");
    URL.revokeObjectURL(preview.src);
    preview.src = URL.createObjectURL(file);
    preview.hidden = false;
  }

  async _record() {
    if (this._recorder.recording) {
      this._stopRecording();
      return;
    }
    clearError(this._alert);
    this._voices.quiet();
    try {
      await this._recorder.start();
    } catch (error) {
      showError(error, this._alert);
      return;
    }
    this._showRecording(true);
    say("Recording.");
  }

  _stopRecording() {
    const file = this._recorder.stop();
    this._showRecording(false);
    if (!file) return;
    this._take(file);
    if (!byId("voice-text").value) byId("voice-text").value = READ_ALOUD;
    byId("drop-said").textContent = "Recorded. Listen to it before you go on.";
    say("Recorded. Correct the words if you said something else.");
  }

  /** @param {boolean} on */
  _showRecording(on) {
    const button = byId("voice-record");
    button.classList.toggle("on", on);
    button.querySelector("span").textContent = on ? "Stop" : "Record";
    setIcon(button, on ? "stop" : "mic");
    byId("recording").hidden = !on;
    byId("drop-said").hidden = on;
    if (on) byId("voice-preview").hidden = true;
  }

  /**
   * @param {number} level 0..1
   * @param {number} seconds
   */
  _heard(level, seconds) {
    byId("level").value = level;
    byId("recording-clock").textContent = `${clock(seconds)} / ${clock(MAX_S)}`;
    if (seconds >= MAX_S) this._stopRecording();
  }

  async _save() {
    clearError(this._alert);
    const missing = this._missing();
    if (missing) {
      showError(missing.said, this._alert);
      byId(missing.id).focus();
      return;
    }
    const name = byId("voice-name").value.trim();
    const body = new FormData();
    body.set("name", name);
    body.set("audio_sample", /** @type {File} */ (this._file));
    body.set("ref_text", byId("voice-text").value.trim());
    body.set("language", byId("voice-language").value.trim());
    body.set("consent_by", byId("voice-by").value.trim());
    const style = byId("voice-style").value.trim();
    if (style) body.set("style", style);
    const button = byId("voice-save");
    button.disabled = true;
    try {
      const made = await this._api.json("v1/audio/voices", { method: "POST", body });
      this._dialog.close();
      await this._voices.load();
      this._voices.chosen = made.id;
      say(style ? `The style ${style} of ${made.name} is ready.` : `The voice ${made.name} is ready.`);
    } catch (error) {
      showError(error, this._alert);
    } finally {
      button.disabled = false;
    }
  }

  /** The first thing that is not there yet. */
  _missing() {
    const said = [
      [!this._file, "voice-choose", "Drop, choose or record a recording first."],
      [!byId("voice-name").value.trim(), "voice-name", "Give the voice a name."],
      [!byId("voice-consent").checked, "voice-consent", "Without consent no voice is cloned."],
      [!byId("voice-by").value.trim(), "voice-by", "Say who vouches for the consent."],
    ].find(([isMissing]) => isMissing);
    return said ? { id: String(said[1]), said: said[2] } : null;
  }

  _reset() {
    if (this._recorder.recording) this._recorder.stop();
    this._showRecording(false);
    this._file = null;
    byId("voice-form").reset();
    byId("drop-said").textContent = "Drop a recording of 3 to 12 seconds here: one speaker, no music.";
    byId("voice-preview").pause();
    byId("voice-preview").hidden = true;
    clearError(this._alert);
  }
}

/**
 * A name for a voice from that of a file.
 * @param {string} file
 */
function named(file) {
  const stem = file.replace(/\.[^.]*$/u, "").normalize("NFKD");
  return stem.replace(/[^A-Za-z0-9_.-]+/gu, "-").replace(/^[^A-Za-z0-9]+|-+$/gu, "").slice(0, 64);
}
