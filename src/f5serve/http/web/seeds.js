// Tags of a script as the page writes them: a line with its voice, and the seed of a take.

import { offsets } from "./edit.js";

const MAIN = "main"; // what tags call the chosen voice
const TAGS = /\[seed[: ] ?\d{1,10}\][ \t]?|\{[^{}\n]{1,300}\}/giu;

/**
 * @typedef {object} Part a stretch of a script that is spoken in one way, as /v1/text gives it
 * @property {string} text without tags; empty for silence alone
 * @property {string | null} voice null is the chosen one
 * @property {string | null} style
 * @property {number | null} speed
 * @property {number | null} seed
 * @property {number | null} pause seconds of silence behind it
 * @property {number} start in the sent text, characters
 * @property {number} end
 */

/** @typedef {Part & import("./edit.js").Range} Line with its place in UTF-16 */

/**
 * Parts with their places as JavaScript counts; spaces around what is spoken are left out.
 * @param {Part[]} parts
 * @param {string} text that was sent
 * @returns {Line[]}
 */
export function linesOf(parts, text) {
  const at = offsets(text);
  return parts.map((part) => {
    const whole = text.slice(at[part.start], at[part.end]);
    const from = at[part.start] + whole.length - whole.trimStart().length;
    return { ...part, from, to: Math.max(from, at[part.start] + whole.trimEnd().length) };
  });
}

/**
 * A tag with everything that is not as usual.
 * @param {{ voice: string | null, style: string | null, speed: number | null }} part
 * @param {number | null} seed
 */
export function tagOf({ voice, style, speed }, seed) {
  return written({ name: voice ?? MAIN, style, seed, speed });
}

/** @param {Record<string, unknown>} fields */
function written(fields) {
  const said = Object.entries(fields).filter(([, value]) => value !== null && value !== "");
  return `{${said.map(([name, value]) => `"${name}": ${JSON.stringify(value)}`).join(", ")}}`;
}

/**
 * The change that gives a line this seed, or takes it away: in the tag before it that has one, or
 * in a new tag.
 * @param {string} text
 * @param {Line[]} lines
 * @param {number} index
 * @param {number | null} seed
 * @returns {import("./edit.js").Range & { text: string }}
 */
export function seedChange(text, lines, index, seed) {
  const line = lines[index];
  const begin = lines[index - 1]?.to ?? 0;
  for (const found of [...text.slice(begin, line.from).matchAll(TAGS)].reverse()) {
    const from = begin + found.index;
    const to = from + found[0].length;
    if (found[0].startsWith("[")) return { from, to, text: seed === null ? "" : `[seed:${seed}] ` };
    const fields = parsed(found[0]);
    if (fields) return { from, to, text: written({ ...fields, seed }) };
  }
  // A seed that comes from a tag further up ends with a tag of the line's own.
  const tag = seed === null ? tagOf(line, null) : `[seed:${seed}]`;
  return { from: line.from, to: line.from, text: `${tag} ` };
}

/** @param {string} tag */
function parsed(tag) {
  try {
    return JSON.parse(tag);
  } catch {
    return null; // {Happy}
  }
}

/** @param {{ text: string }} part */
export function isSpoken({ text }) {
  return Boolean(text.trim());
}

/** A seed that nobody has chosen. */
export function drawSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;
}
