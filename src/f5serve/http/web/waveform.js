// The sound as bars on a canvas, and the place in it as a slider.

import { clock } from "./format.js";

const BAR_PX = 3;
const GAP_PX = 2;
const PEAKS_PER_S = 100;
const STEP_S = 1;
const PAGE_S = 5;

/** Loudest sample in each hundredth of a second, of sound that grows. */
export class Peaks {
  /** @param {number} [sampleRate] */
  constructor(sampleRate = 24000) {
    this._each = Math.round(sampleRate / PEAKS_PER_S); // samples
    /** @type {number[]} */
    this.values = [];
  }

  /** @param {Float32Array} samples all of them, from the beginning */
  grow(samples) {
    const known = Math.max(0, this.values.length - 1); // the last one may have been cut short
    this.values.length = known;
    for (let at = known * this._each; at < samples.length; at += this._each) {
      const end = Math.min(at + this._each, samples.length);
      let peak = 0;
      for (let i = at; i < end; i += 1) peak = Math.max(peak, Math.abs(samples[i]));
      this.values.push(peak);
    }
  }

  /**
   * The loudest peak between two places.
   * @param {number} fromS
   * @param {number} toS
   */
  between(fromS, toS) {
    const first = Math.floor(fromS * PEAKS_PER_S);
    const last = Math.min(Math.max(first + 1, Math.floor(toS * PEAKS_PER_S)), this.values.length);
    let peak = 0;
    for (let i = first; i < last; i += 1) peak = Math.max(peak, this.values[i]);
    return peak;
  }
}

export class Waveform {
  /**
   * @param {HTMLElement} slider with a canvas in it
   * @param {import("./player.js").Player} player
   * @param {import("./words.js").Words} words
   */
  constructor(slider, player, words) {
    this._slider = slider;
    this._canvas = /** @type {HTMLCanvasElement} */ (slider.querySelector("canvas"));
    this._player = player;
    this._words = words;
    this._peaks = new Peaks();
    this._size = { width: 0, height: 0 };
    /** Seconds that the sound is expected to have; it is drawn to that scale while it grows. */
    this.expected = 0;
    this._drawn = ""; // what is seen now
    slider.addEventListener("keydown", (event) => this._onKey(event));
    slider.addEventListener("pointerdown", (event) => this._onPointer(event));
    slider.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) this._onPointer(event);
    });
    new ResizeObserver(() => this.draw(true)).observe(slider);
  }

  /** Forget the old sound. */
  reset() {
    this._peaks = new Peaks(this._player.sampleRate);
  }

  /** The sound has grown. */
  grow() {
    this._peaks.grow(this._player.samples);
  }

  get _span() {
    const { complete, duration } = this._player;
    return (complete ? duration : Math.max(duration * 1.05, this.expected)) || 1;
  }

  /**
   * Draw, where it would look different from before.
   * @param {boolean} [always] as after a change of size or colours
   */
  draw(always = false) {
    const { time, duration } = this._player;
    const { width } = this._size;
    const bar = Math.floor(((time / this._span) * width) / (BAR_PX + GAP_PX));
    const look = [bar, duration, this._span, this._words.current?.start].join(" ");
    if (look === this._drawn && !always) return;
    this._drawn = look;
    if (always) this._size = { width: this._slider.clientWidth, height: this._slider.clientHeight };
    this._draw();
  }

  _draw() {
    const { width, height } = this._size;
    const scale = devicePixelRatio || 1;
    const canvas = this._canvas;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const context = canvas.getContext("2d");
    if (!context || !width) return;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    this._drawBars(context, width, height);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} width
   * @param {number} height
   */
  _drawBars(context, width, height) {
    const style = getComputedStyle(this._slider);
    const [played, ahead, missing, now] = ["--played", "--ahead", "--missing", "--word"].map(
      (name) => style.getPropertyValue(name),
    );
    const { time, duration } = this._player;
    const perPx = this._span / width;
    const word = this._words.current;
    if (word) {
      context.fillStyle = now;
      const left = word.start / perPx;
      context.beginPath();
      context.roundRect(left - 2, 0, (word.end - word.start) / perPx + 4, height, 6);
      context.fill();
    }
    for (let x = 0; x + BAR_PX <= width; x += BAR_PX + GAP_PX) {
      const from = x * perPx;
      const to = (x + BAR_PX + GAP_PX) * perPx;
      const peak = from < duration ? this._peaks.between(from, to) : 0;
      // Loudness is heard by ratio: a root shows quiet sounds as well.
      const tall = Math.max(BAR_PX, Math.sqrt(peak) * (height - 8));
      context.fillStyle = from >= duration ? missing : to <= time ? played : ahead;
      context.beginPath();
      context.roundRect(x, (height - tall) / 2, BAR_PX, tall, BAR_PX / 2);
      context.fill();
    }
  }

  /** Tell the slider's value. */
  describe() {
    const { time, duration } = this._player;
    const word = this._words.current;
    const said = `${clock(time)} of ${clock(duration)}${word ? `, ${word.word}` : ""}`;
    const told = { max: duration.toFixed(1), now: time.toFixed(1), text: said };
    for (const [name, value] of Object.entries(told)) {
      const attribute = `aria-value${name}`;
      if (this._slider.getAttribute(attribute) !== value) {
        this._slider.setAttribute(attribute, value);
      }
    }
  }

  /** @param {PointerEvent} event */
  _onPointer(event) {
    if (event.button > 0) return;
    if (event.type === "pointerdown") this._slider.setPointerCapture(event.pointerId);
    const box = this._slider.getBoundingClientRect();
    this._player.seek(((event.clientX - box.left) / box.width) * this._span);
  }

  /** @param {KeyboardEvent} event */
  _onKey(event) {
    const player = this._player;
    const byWord = event.shiftKey && this._words.timed;
    /** @type {Record<string, () => void>} */
    const actions = {
      " ": () => player.toggle(),
      Home: () => player.seek(0),
      End: () => player.seek(player.duration),
      PageDown: () => player.seek(player.time - PAGE_S),
      PageUp: () => player.seek(player.time + PAGE_S),
    };
    const back = () => player.seek(byWord ? this._words.before(player.time) : player.time - STEP_S);
    const on = () => player.seek(byWord ? this._words.after(player.time) : player.time + STEP_S);
    Object.assign(actions, { ArrowLeft: back, ArrowDown: back, ArrowRight: on, ArrowUp: on });
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    action();
  }
}
