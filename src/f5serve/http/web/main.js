// The studio: who does what when.

import { Api } from "./api.js";
import { Books } from "./books.js";
import { Compose } from "./compose.js";
import { byId } from "./dom.js";
import { placeOf } from "./edit.js";
import { History } from "./history.js";
import { Insert } from "./insert.js";
import { Keys } from "./keys.js";
import { Lexicon } from "./lexicon.js";
import { Lines } from "./lines.js";
import { NewVoice } from "./new-voice.js";
import { clearError, say, showError } from "./notices.js";
import { Player } from "./player.js";
import { Result } from "./result.js";
import { Script } from "./script.js";
import { Server } from "./server.js";
import { resultOf, speak } from "./speech.js";
import { Spoken } from "./spoken.js";
import { Takes } from "./takes.js";
import { installTheme } from "./theme.js";
import { Views } from "./views.js";
import { Voices } from "./voices.js";
import { Work } from "./work.js";

/** @type {Record<string, string>} */
const PHASES = {
  loading: "The model is loading",
  waiting: "Waiting in line",
  first: "Making the first part",
  storing: "Storing",
};

/** Errors that a place of the text is the cause of. */
const IN_THE_TEXT = ["bad_markup", "bad_ssml", "voice_not_found", "style_not_found"];

const facts = JSON.parse(byId("facts").content);
const keys = new Keys();
const api = new Api(keys);
const player = new Player();
const compose = new Compose(facts);
const result = new Result(api, player, showError);
const voices = new Voices(api, showError);
const history = new History(api, { open, reuse, failed: showError });
const views = new Views();
const books = new Books(api, voices, views);
const server = new Server(api, (load) => {
  compose.load = load;
  books.load = load;
});
new NewVoice(api, voices);
new Lexicon(api, voices);
new Insert(voices);
const spoken = new Spoken(api, compose, voices);
const work = new Work();
const takes = new Takes(api, work);
const script = new Script(compose, voices, spoken);
const lines = new Lines(api, compose, voices, script, takes, showProgress);

async function generate() {
  if (work.busy) return;
  clearError();
  if (!compose.text.trim()) {
    showError("There is nothing to say yet. Write some text first.");
    byId("text").focus();
    return;
  }
  voices.quiet();
  player.begin();
  const voice = voices.chosen;
  const body = compose.body(voice);
  result.expect(compose.text, voice, compose.expected);
  const error = await work.run(async (signal) => {
    const made = await speak(api, player, body, signal, showProgress);
    result.complete(made.jobId, made.result);
    lines.adopt(body, made.result.parts ?? [], player);
  });
  if (!error) say("Done.");
  else {
    result.stopped();
    if (error === "cancelled") say("Cancelled.");
    else showPlace(error);
  }
}

/**
 * Show an error, and the place of the text that it is about.
 * @param {any} error
 */
function showPlace(error) {
  showError(error);
  const place = IN_THE_TEXT.includes(error.code) ? placeOf(error.message, compose.text) : null;
  if (!place) return;
  byId("text").focus();
  byId("text").setSelectionRange(place.from, place.to);
}

/**
 * A job of the history.
 * @param {any} job
 */
async function open(job) {
  clearError();
  if (work.busy) {
    showError("Something is being made. Wait for it, or cancel it first.");
    return;
  }
  voices.quiet();
  player.begin();
  result.expect(job.text ?? "", job.voice ?? "", job.duration ?? 0);
  try {
    const path = `v1/jobs/${encodeURIComponent(job.job_id)}`;
    const [told, audio] = await Promise.all([resultOf(api, job.job_id), api.ask(`${path}/audio`)]);
    player.append(await player.decodeAs(told.format, await audio.arrayBuffer()));
    player.finish();
    result.complete(job.job_id, told);
    player.play();
    byId("play").focus();
    byId("result").scrollIntoView({ block: "nearest" });
  } catch (error) {
    result.stopped();
    showError(error);
  }
}

/**
 * Begin with what was said earlier. The list of jobs has the beginning of a text only.
 * @param {any} job
 */
async function reuse(job) {
  const whole = job.status === "COMPLETED" ? await resultOf(api, job.job_id).catch(() => job) : job;
  compose.text = whole.text;
  voices.chosen = job.voice;
  byId("text").focus();
}

function showUnderWay() {
  const on = work.busy;
  const focused = document.activeElement;
  byId("generate").disabled = on;
  byId("cancel").hidden = !on;
  byId("under-way").hidden = !on;
  byId("hint").hidden = on;
  byId("phase").textContent = "Sending";
  byId("progress").removeAttribute("value");
  // The focused button is gone: its place is taken by the one that is next.
  if (on && focused === byId("generate")) byId("cancel").focus();
  if (!on && focused === byId("cancel")) (player.duration ? byId("play") : byId("generate")).focus();
}

/** @param {import("./speech.js").Progress} progress */
function showProgress({ phase, percent, done, total }) {
  if (percent) byId("progress").value = percent;
  const spoken = total && total > 1 ? `Part ${Math.min((done ?? 0) + 1, total)} of ${total}` : "Speaking";
  const said = phase === "speaking" ? spoken : (PHASES[phase] ?? "Under way");
  if (byId("phase").textContent === said) return;
  byId("phase").textContent = said;
  if (phase !== "speaking") say(said);
}

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || views.isBooks) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    generate();
  } else if (event.key === "Escape") {
    work.cancel();
  }
});
byId("generate").addEventListener("click", generate);
byId("cancel").addEventListener("click", () => work.cancel());
work.addEventListener("change", () => {
  showUnderWay();
  if (work.busy) return;
  history.load(true).catch(() => {});
  server.watch();
});
voices.addEventListener("sample", () => {
  player.pause();
  takes.quiet();
  books.quiet();
});
takes.addEventListener("sound", () => {
  player.pause();
  voices.quiet();
  books.quiet();
});
books.addEventListener("sound", () => {
  player.pause();
  voices.quiet();
  takes.quiet();
});
player.addEventListener("change", () => {
  if (!player.playing) return;
  takes.quiet();
  books.quiet();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) server.watch();
});
installTheme(() => result.draw());

/** Ask for everything that the page shows; the key, if there has to be one, only once. */
async function fill() {
  try {
    await voices.load();
    await history.load();
    await books.look(true);
    clearError();
  } catch (error) {
    showError(error);
  }
  await server.watch();
}

keys.addEventListener("change", fill);
fill();
