// A line of a script in the list: who speaks, what, its state, its takes.

import { icon, iconButton, make } from "./dom.js";
import { isSpoken } from "./seeds.js";

/**
 * @typedef {object} Actions of the buttons; `index` is that of the line
 * @property {(index: number) => void} play
 * @property {(index: number) => void} again
 * @property {(index: number, seed: number) => void} toggle
 * @property {(index: number, seed: number) => void} keep
 */

/**
 * @typedef {object} About
 * @property {Omit<import("./seeds.js").Part, "start" | "end">} line
 * @property {string} speaker
 * @property {string} colour a class
 * @property {boolean} making
 * @property {boolean} heard
 * @property {{ seed: number, heard: boolean }[]} takes
 */

/**
 * @param {About} about
 * @param {number} index
 * @param {Actions} actions
 */
export function lineRow({ line, speaker, colour, making, heard, takes }, index, actions) {
  const about = [
    line.speed === null ? "" : `speed ${line.speed}`,
    line.seed === null ? "" : `seed ${line.seed}`,
    line.pause ? `${line.pause} s of silence` : "",
  ];
  const foot = make("p", { class: "quiet" }, about.filter(Boolean).join(" · "));
  if (!isSpoken(line)) return make("li", { class: "script-line" }, foot);
  const name = `line ${index + 1}`;
  const state = making ? "making" : takes.length ? "made" : "not made";
  const verb = heard ? "Stop" : "Play";
  const play = iconButton(verb.toLowerCase(), `${verb} ${name}`, () => actions.play(index));
  const again = iconButton("again", `Another take of ${name}`, () => actions.again(index));
  play.dataset.act = "play";
  again.dataset.act = "again";
  const head = make(
    "div",
    { class: "row" },
    make("span", { class: "by" }, make("span", { class: "swatch" }), speaker),
    make("span", { class: `state badge ${making ? "PROCESSING" : "CANCELLED"}` }, state),
    make("span", { class: "buttons" }, play, again),
  );
  const row = make("li", { class: `script-line ${colour}` }, head, make("p", { class: "excerpt" }, line.text));
  if (takes.length) {
    const made = takes.map((take, at) => takeItem(take, take.seed === line.seed, at, index, actions));
    row.append(make("ul", { class: "takes", "aria-label": `Takes of ${name}` }, ...made));
  }
  row.append(foot);
  return row;
}

/**
 * @param {{ seed: number, heard: boolean }} take
 * @param {boolean} isKept
 * @param {number} at its place among the takes
 * @param {number} index of the line
 * @param {Actions} actions
 */
function takeItem({ seed, heard }, isKept, at, index, { toggle, keep }) {
  const name = `take ${at + 1} of line ${index + 1}`;
  const shape = { type: "button", class: "chip" };
  const playing = {
    ...shape,
    "aria-label": `${heard ? "Stop" : "Play"} ${name}`,
    title: `Seed ${seed}`,
    "data-act": `take-${seed}`,
    onclick: () => toggle(index, seed),
  };
  const keeping = {
    ...shape,
    "aria-label": `Keep ${name}`,
    "aria-pressed": String(isKept),
    "data-act": `keep-${seed}`,
    onclick: () => keep(index, seed),
  };
  return make(
    "li",
    { class: "take" },
    make("button", playing, icon(heard ? "stop" : "play", true), `Take ${at + 1}`),
    make("button", keeping, "Keep"),
  );
}
