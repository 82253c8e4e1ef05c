// The studio: who does what when.

import { Api } from "./api.js";
import { Compose } from "./compose.js";
import { byId } from "./dom.js";
import { History } from "./history.js";
import { Keys } from "./keys.js";
import { Lexicon } from "./lexicon.js";
import { NewVoice } from "./new-voice.js";
import { clearError, say, showError } from "./notices.js";
import { Player } from "./player.js";
import { Result } from "./result.js";
import { Server } from "./server.js";
import { resultOf, speak } from "./speech.js";
import { Spoken } from "./spoken.js";
import { installTheme } from "./theme.js";
import { Voices } from "./voices.js";

/** @type {Record<string, string>} */
const PHASES = {
  loading: "The model is loading",
  waiting: "Waiting in line",
  first: "Making the first part",
  storing: "Storing",
};

const facts = JSON.parse(byId("facts").content);
const keys = new Keys();
const api = new Api(keys);
const player = new Player();
const compose = new Compose(facts);
const result = new Result(api, player, showError);
const voices = new Voices(api, showError);
const history = new History(api, { open, reuse, failed: showError });
const server = new Server(api, (load) => {
  compose.load = load;
});
new NewVoice(api, voices);
new Lexicon(api, voices);
const spoken = new Spoken(api, compose, voices);

/** @type {AbortController | null} the request that is under way */
let underWay = null;

async function generate() {
  if (underWay) return;
  clearError();
  if (!compose.text.trim()) {
    showError("There is nothing to say yet. Write some text first.");
    byId("text").focus();
    return;
  }
  underWay = new AbortController();
  voices.quiet();
  player.begin();
  const voice = voices.chosen;
  result.expect(compose.text, voice, compose.expected);
  showUnderWay(true);
  try {
    const made = await speak(api, player, compose.body(voice), underWay.signal, showProgress);
    result.complete(made.jobId, made.result);
    say("Done.");
  } catch (error) {
    const cancelled = underWay.signal.aborted;
    underWay.abort();
    result.stopped();
    if (cancelled) say("Cancelled.");
    else showError(error);
  } finally {
    underWay = null;
    showUnderWay(false);
    history.load(true).catch(() => {});
    server.watch();
  }
}

/**
 * A job of the history.
 * @param {any} job
 */
async function open(job) {
  clearError();
  if (underWay) {
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

/** @param {boolean} on */
function showUnderWay(on) {
  const focused = document.activeElement;
  byId("generate").disabled = on;
  byId("cancel").hidden = !on;
  byId("under-way").hidden = !on;
  byId("hint").hidden = on;
  byId("result").classList.toggle("growing", on);
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
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    generate();
  } else if (event.key === "Escape" && underWay) {
    underWay.abort();
  }
});
byId("generate").addEventListener("click", generate);
byId("cancel").addEventListener("click", () => underWay?.abort());
voices.addEventListener("sample", () => player.pause());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) server.watch();
});
installTheme(() => result.draw());

/** Ask for everything that the page shows; the key, if there has to be one, only once. */
async function fill() {
  try {
    await voices.load();
    spoken.refresh();
    await history.load();
    clearError();
  } catch (error) {
    showError(error);
  }
  await server.watch();
}

keys.addEventListener("change", fill);
fill();
