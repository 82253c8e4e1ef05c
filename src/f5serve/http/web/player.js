// Sound that can be heard while it arrives, stopped and moved in.
//
// Samples are kept in one growing array. What is to be heard next is handed to Web Audio as
// buffers, each begun at its own sample, in a context of the sound's own rate: no gaps, no clicks.

import { SampleReader } from "./pcm.js";

const LEAD_S = 0.06; // between asking for sound and hearing it

/** Emits "change" (begun, ended, grown, moved). */
export class Player extends EventTarget {
  constructor() {
    super();
    /** @type {AudioContext | null} */
    this._context = null;
    this._data = new Float32Array(0);
    this._length = 0; // samples
    /** @type {Set<AudioBufferSourceNode>} */
    this._sources = new Set();
    this._from = 0; // position at `_since`, seconds
    this._since = 0; // time of the context at which `_from` is heard
    this._scheduled = 0; // samples that Web Audio has
    this.sampleRate = 24000;
    this.playing = false;
    this.complete = true;
  }

  /** Seconds that are there. */
  get duration() {
    return this._length / this.sampleRate;
  }

  /** What is heard now, seconds. */
  get time() {
    if (!this.playing || !this._context) return this._from;
    const heard = this._from + Math.max(0, this._context.currentTime - this._since);
    return Math.min(heard, this.duration);
  }

  get samples() {
    return this._data.subarray(0, this._length);
  }

  /** Whether everything that has arrived was heard, and more is to come. */
  get starved() {
    return this.playing && !this.complete && this.time >= this.duration;
  }

  /**
   * Forget what was, and wait for samples. Called by a click, so that browsers allow sound.
   * @param {number} [sampleRate]
   */
  begin(sampleRate = 24000) {
    this._silence();
    this.playing = false;
    this.sampleRate = sampleRate;
    this._length = 0;
    this._from = 0;
    this.complete = false;
    this._wake();
    this._tell();
  }

  /** @param {Float32Array} samples */
  append(samples) {
    if (this._length + samples.length > this._data.length) {
      const room = Math.max(2 * this._data.length, this._length + samples.length, 1 << 19);
      const larger = new Float32Array(room);
      larger.set(this.samples);
      this._data = larger;
    }
    this._data.set(samples, this._length);
    this._length += samples.length;
    if (this.playing) this._schedule();
    this._tell();
  }

  /** No more samples will come. */
  finish() {
    this.complete = true;
    if (this.playing && !this._sources.size) this._end();
    this._tell();
  }

  play() {
    if (this.playing) return;
    if (this.complete && this._from >= this.duration) this._from = 0;
    this._wake();
    this.playing = true;
    this._start(this._from);
    this._tell();
  }

  pause() {
    if (!this.playing) return;
    this._from = this.time;
    this.playing = false;
    this._silence();
    this._tell();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** @param {number} seconds */
  seek(seconds) {
    this._from = Math.min(Math.max(0, seconds), this.duration);
    if (this.playing) this._start(this._from);
    this._tell();
  }

  /**
   * The samples of a whole file, at the player's rate.
   * @param {string} format
   * @param {ArrayBuffer} bytes
   * @returns {Promise<Float32Array>}
   */
  async decodeAs(format, bytes) {
    if (format === "pcm") return new SampleReader(false).read(new Uint8Array(bytes));
    const context = new OfflineAudioContext(1, 1, this.sampleRate);
    try {
      return (await context.decodeAudioData(bytes)).getChannelData(0);
    } catch {
      throw new Error(`This browser cannot play ${format}. The file can be downloaded.`);
    }
  }

  _wake() {
    if (this._context?.sampleRate !== this.sampleRate) {
      this._context?.close();
      this._context = new AudioContext({ sampleRate: this.sampleRate });
    }
    if (this._context.state === "suspended") this._context.resume();
  }

  /** @param {number} from seconds */
  _start(from) {
    this._silence();
    if (!this._context) return;
    this._from = from;
    this._since = this._context.currentTime + LEAD_S;
    this._scheduled = Math.round(from * this.sampleRate);
    this._schedule();
    if (this.complete && !this._sources.size) this._end();
  }

  /** Hand what Web Audio does not have yet to it. */
  _schedule() {
    const context = this._context;
    if (!context || this._scheduled >= this._length) return;
    let when = this._since + this._scheduled / this.sampleRate - this._from;
    if (when < context.currentTime) {
      // It ran dry: what comes now is heard a little later than planned.
      this._from = this._scheduled / this.sampleRate;
      this._since = context.currentTime + LEAD_S;
      when = this._since;
    }
    const buffer = context.createBuffer(1, this._length - this._scheduled, this.sampleRate);
    buffer.copyToChannel(this._data.subarray(this._scheduled, this._length), 0);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    source.addEventListener("ended", () => this._ended(source));
    source.start(Math.round(when * this.sampleRate) / this.sampleRate);
    this._sources.add(source);
    this._scheduled = this._length;
  }

  /** @param {AudioBufferSourceNode} source */
  _ended(source) {
    if (!this._sources.delete(source)) return; // it was stopped
    if (this.playing && this.complete && !this._sources.size) this._end();
  }

  _end() {
    this._from = this.duration;
    this.playing = false;
    this._tell();
  }

  _silence() {
    const sources = [...this._sources];
    this._sources.clear();
    for (const source of sources) source.stop();
  }

  _tell() {
    this.dispatchEvent(new Event("change"));
  }
}
