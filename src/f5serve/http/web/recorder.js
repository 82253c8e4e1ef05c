// The microphone, as a WAV file.

import { wavFile } from "./pcm.js";

/** Longer recordings would be cut by the server. */
export const MAX_S = 12;

export class Recorder {
  /** @param {(level: number, seconds: number) => void} heard */
  constructor(heard) {
    this._heard = heard;
    /** @type {MediaStream | null} */
    this._stream = null;
    /** @type {AudioContext | null} */
    this._context = null;
    /** @type {Float32Array[]} */
    this._parts = [];
    this._length = 0;
  }

  get recording() {
    return this._stream !== null;
  }

  /** Begin; browsers ask the person first. */
  async start() {
    if (!navigator.mediaDevices) {
      throw new Error("Browsers record on https pages and on localhost only. Choose a file instead.");
    }
    // What makes calls clear also changes a voice: all of it is switched off.
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    try {
      this._stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (/** @type {any} */ error) {
      throw new Error(
        error.name === "NotAllowedError"
          ? "The microphone is not allowed for this page. Allow it in the browser, or choose a file."
          : "There is no microphone that can be used. Choose a file instead.",
      );
    }
    this._parts = [];
    this._length = 0;
    this._context = new AudioContext();
    await this._context.audioWorklet.addModule(new URL("recorder-worklet.js", import.meta.url));
    if (!this._stream) return; // stopped meanwhile
    const tap = new AudioWorkletNode(this._context, "tap", { numberOfOutputs: 0 });
    tap.port.onmessage = (event) => this._take(event.data);
    this._context.createMediaStreamSource(this._stream).connect(tap);
  }

  /** End; the recording as a file, null if there is none. */
  stop() {
    const rate = this._context?.sampleRate ?? 48000;
    for (const track of this._stream?.getTracks() ?? []) track.stop();
    this._context?.close();
    this._stream = null;
    this._context = null;
    if (!this._length) return null;
    const samples = new Float32Array(this._length);
    let at = 0;
    for (const part of this._parts) {
      samples.set(part, at);
      at += part.length;
    }
    return new File([wavFile(samples, rate)], "recording.wav", { type: "audio/wav" });
  }

  /** @param {Float32Array} part */
  _take(part) {
    if (!this._context) return;
    this._parts.push(part);
    this._length += part.length;
    const power = part.reduce((sum, sample) => sum + sample * sample, 0) / part.length;
    this._heard(Math.min(1, 4 * Math.sqrt(power)), this._length / this._context.sampleRate);
  }
}
