// Samples to bytes and back: 16-bit PCM, bare or in a WAV file.

/** @param {string} base64 */
export function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** @param {Uint8Array[]} parts */
export function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * Samples as they arrive, of raw PCM or of a WAV file that begins to arrive: 16 bit, mono.
 */
export class SampleReader {
  /** @param {boolean} hasHeader whether a WAV header comes first */
  constructor(hasHeader) {
    this.sampleRate = 24000;
    this._inHeader = hasHeader;
    /** @type {Uint8Array} */
    this._rest = new Uint8Array(0);
  }

  /**
   * The samples that are complete with these bytes.
   * @param {Uint8Array} bytes
   * @returns {Float32Array}
   */
  read(bytes) {
    let whole = this._rest.length ? joined([this._rest, bytes]) : bytes;
    if (this._inHeader) {
      const found = readHeader(whole);
      if (!found) {
        this._rest = whole;
        return new Float32Array(0);
      }
      this._inHeader = false;
      this.sampleRate = found.sampleRate;
      whole = whole.subarray(found.at);
    }
    const even = whole.length - (whole.length % 2);
    this._rest = whole.slice(even);
    const view = new DataView(whole.buffer, whole.byteOffset, even);
    const samples = new Float32Array(even / 2);
    for (let i = 0; i < samples.length; i += 1) samples[i] = view.getInt16(2 * i, true) / 32768;
    return samples;
  }
}

/**
 * Where the samples of a WAV file begin; null while too little of it is there.
 * @param {Uint8Array} bytes
 */
function readHeader(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const name = (/** @type {number} */ at) => String.fromCharCode(...bytes.subarray(at, at + 4));
  let at = 12;
  let sampleRate = 24000;
  while (at + 8 <= bytes.length) {
    if (name(at) === "data") return { at: at + 8, sampleRate };
    if (name(at) === "fmt " && at + 16 <= bytes.length) sampleRate = view.getUint32(at + 12, true);
    const size = view.getUint32(at + 4, true);
    at += 8 + size + (size % 2);
  }
  return null;
}

/**
 * A WAV file: 16 bit, mono.
 * @param {Float32Array} samples
 * @param {number} sampleRate
 * @returns {Blob}
 */
export function wavFile(samples, sampleRate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const write = (/** @type {number} */ at, /** @type {string} */ text) => {
    for (let i = 0; i < text.length; i += 1) view.setUint8(at + i, text.charCodeAt(i));
  };
  write(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, 2 * sampleRate, true); // bytes per second
  view.setUint16(32, 2, true); // bytes per frame
  view.setUint16(34, 16, true); // bits
  write(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => {
    const scaled = Math.round(sample * 32768);
    view.setInt16(44 + 2 * i, Math.min(32767, Math.max(-32768, scaled)), true);
  });
  return new Blob([view.buffer], { type: "audio/wav" });
}
