// Places in a text, and changes of a text field that can be undone.

/**
 * Where each character begins in UTF-16, and where the last one ends. The server counts
 * characters, which take one or two units here.
 * @param {string} text
 */
export function offsets(text) {
  const found = [0];
  let at = 0;
  for (const char of text) found.push((at += char.length));
  return found;
}

/**
 * @typedef {object} Range in UTF-16
 * @property {number} from
 * @property {number} to
 */

/**
 * Where ranges of a text are after one stretch of it was replaced.
 * @template {Range} T
 * @param {T[]} ranges
 * @param {string} before
 * @param {string} after
 * @returns {T[]}
 */
export function moved(ranges, before, after) {
  const shorter = Math.min(before.length, after.length);
  let same = 0;
  while (same < shorter && before[same] === after[same]) same += 1;
  let tail = 0;
  while (tail < shorter - same && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  const grown = after.length - before.length;
  const rest = before.length - tail; // where what comes after the change began
  return ranges.map((range) => {
    const from = range.from <= same ? range.from : Math.max(same, range.from + grown);
    const to = range.to >= rest ? range.to + grown : Math.min(range.to, same);
    return { ...range, from, to: Math.max(from, to) };
  });
}

/**
 * Replace a stretch of a field as if it were typed, so that it can be undone. The focus comes back.
 * @param {HTMLTextAreaElement} field
 * @param {number} from
 * @param {number} to
 * @param {string} text
 */
export function replaceText(field, from, to, text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const { selectionStart, selectionEnd, value } = field;
  const after = value.slice(0, from) + text + value.slice(to);
  const [selected] = moved([{ from: selectionStart, to: selectionEnd }], value, after);
  field.focus({ preventScroll: true });
  field.setSelectionRange(from, to);
  const done = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
  if (!done) {
    field.setRangeText(text, from, to, "end");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  if (focused === field || !focused) return;
  field.setSelectionRange(selected.from, selected.to);
  focused.focus({ preventScroll: true });
}

const LINE_AND_COLUMN = /\bline (\d[\d,]{0,8}), column (\d[\d,]{0,8})/u;
const CHARACTER = /\b(?:character|position) (\d[\d,]{0,8})/u;
const TAG = /\[[^[\]\n]{1,200}\]|\{[^{}\n]{1,300}\}/u;
const TAG_HERE = new RegExp(`^(?:${TAG.source})`, "u");

/**
 * The place that an error of the server names: "line 2, column 5", "character 12", both counted
 * from 1, or a tag that stands in the text; null where it names none.
 * @param {string} message
 * @param {string} text
 * @returns {Range | null}
 */
export function placeOf(message, text) {
  const number = (/** @type {string} */ said) => Number(said.replaceAll(",", ""));
  const at = message.match(LINE_AND_COLUMN);
  const character = message.match(CHARACTER);
  let from = -1;
  if (at) {
    const lines = text.split("\n");
    const line = lines[number(at[1]) - 1] ?? "";
    const before = lines.slice(0, number(at[1]) - 1).reduce((sum, { length }) => sum + length + 1, 0);
    from = before + (offsets(line)[number(at[2]) - 1] ?? line.length);
  } else if (character) {
    from = offsets(text)[number(character[1]) - 1] ?? -1;
  } else {
    from = text.indexOf(message.match(TAG)?.[0] ?? "\n\n\n\0");
  }
  if (from < 0 || from >= text.length) return null;
  const found = text.slice(from).match(TAG_HERE) ?? text.slice(from).match(/^\S+|^\s/u);
  return { from, to: from + (found?.[0].length ?? 1) };
}
