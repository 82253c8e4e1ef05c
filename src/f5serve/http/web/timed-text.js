// Text whose sentences and words have times.

import { make } from "./dom.js";

/**
 * @typedef {object} Sentence as the server tells it; times in seconds
 * @property {number} number
 * @property {number} paragraph
 * @property {string} kind of the paragraph
 * @property {string} text
 * @property {number} start_time
 * @property {number} end_time
 * @property {string | null} doubt
 * @property {number} take that is spoken, from 1
 * @property {number} takes how many there are
 * @property {{ word: string, start_time: number }[]} words
 */

/**
 * Paragraphs with an element for each sentence, the first of which Tab reaches.
 * @param {Sentence[]} sentences
 */
export function sentenceNodes(sentences) {
  /** @type {HTMLElement[]} */
  const paragraphs = [];
  let last = 0;
  /** @type {HTMLElement[]} */
  const spans = sentences.map(({ text, kind, paragraph, doubt }, index) => {
    const attributes = { class: "sentence", role: "button", tabindex: index ? -1 : 0, title: doubt };
    const span = make("span", attributes, text);
    span.classList.toggle("doubt", Boolean(doubt));
    if (paragraph !== last) paragraphs.push(make("p", { class: kind === "heading" ? "heading" : null }));
    last = paragraph;
    paragraphs.at(-1)?.append(span, " ");
    return span;
  });
  return { paragraphs, spans };
}

/**
 * A text with an element for each word. Words are looked for in their order; one that is spoken as
 * another than is written has an element that is not shown.
 * @param {string} text
 * @param {{ word: string }[]} words
 */
export function wordNodes(text, words) {
  /** @type {(string | HTMLElement)[]} */
  const nodes = [];
  /** @type {HTMLElement[]} */
  const spans = [];
  let end = 0;
  for (const { word } of words) {
    const found = text.indexOf(word, end);
    const span = make("span", { class: "word" }, word);
    spans.push(span);
    if (found < 0) continue;
    nodes.push(text.slice(end, found), span);
    end = found + word.length;
  }
  return { nodes: [...nodes, text.slice(end)], spans };
}

/**
 * Index of the last one that has begun, -1 before the first.
 * @param {{ start_time: number }[]} ones in their order
 * @param {number} time
 */
export function lastBefore(ones, time) {
  let low = 0;
  let high = ones.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ones[middle].start_time <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
