// Numbers and times as people read them.

const LATIN_PER_S = 15;
const IDEOGRAPHS_PER_S = 4.5;
const IDEOGRAPH = /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]/gu;

/**
 * Seconds as 0:07, 12:30 or 1:02:03.
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(Number.isFinite(seconds) ? seconds : 0));
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours
    ? `${hours}:${two(minutes)}:${two(whole % 60)}`
    : `${minutes}:${two(whole % 60)}`;
}

/**
 * A length of time that is only guessed: "3 s", "about 2 min".
 * @param {number} seconds
 */
export function roughly(seconds) {
  if (seconds < 1) return "under 1 s";
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/**
 * How long ago, in words.
 * @param {string | number | null | undefined} when ISO 8601, or seconds since 1970
 * @param {number} [now] milliseconds
 */
export function ago(when, now = Date.now()) {
  const then = typeof when === "number" ? when * 1000 : Date.parse(when ?? "");
  if (!Number.isFinite(then)) return "";
  const seconds = (now - then) / 1000;
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(then).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/**
 * Seconds of speech that a text makes, from its characters; voices differ by a third.
 * @param {string} text
 * @param {number} speed
 */
export function speechSeconds(text, speed) {
  const said = text.trim().replace(/\s+/gu, " ");
  const ideographs = said.match(IDEOGRAPH)?.length ?? 0;
  return ((said.length - ideographs) / LATIN_PER_S + ideographs / IDEOGRAPHS_PER_S) / speed;
}
