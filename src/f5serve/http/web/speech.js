// One request for speech: sent, followed, and heard while it is made.

import { errorOf } from "./api.js";
import { bytesOf, joined, SampleReader } from "./pcm.js";
import { events } from "./sse.js";

const LOOK_MS = 1000; // what the server itself asks for while a job is under way
const RESULT_TRIES = 20;

/** Formats whose samples can be heard as they arrive; the others are decoded when complete. */
export const STREAMED = ["wav", "pcm"];

/**
 * @typedef {object} Progress
 * @property {string} phase
 * @property {number} percent
 * @property {number} [done] utterances
 * @property {number} [total]
 */

/**
 * Speak, filling the player.
 * @param {import("./api.js").Api} api
 * @param {import("./player.js").Player} player
 * @param {Record<string, any>} body of /v1/audio/speech
 * @param {AbortSignal} signal
 * @param {(progress: Progress) => void} told
 * @returns {Promise<{ jobId: string, result: any }>}
 */
export async function speak(api, player, body, signal, told) {
  let jobId = "";
  const ended = new AbortController();
  const until = AbortSignal.any([signal, ended.signal]);
  const followed = follow(async () => told(await progress(api, jobId, until)), until);
  try {
    const answer = await api.post("v1/audio/speech", { ...body, stream_format: "sse" }, signal);
    jobId = answer.headers.get("X-F5-Job-Id") ?? "";
    await hear(answer, player, body.response_format);
  } finally {
    ended.abort();
    await followed;
  }
  return { jobId, result: await resultOf(api, jobId, signal) };
}

/**
 * @param {Response} answer
 * @param {import("./player.js").Player} player
 * @param {string} format
 */
async function hear(answer, player, format) {
  const streams = STREAMED.includes(format);
  const reader = new SampleReader(format === "wav");
  const parts = [];
  for await (const event of events(/** @type {ReadableStream<Uint8Array>} */ (answer.body))) {
    if (event.error) throw errorOf(event.error, answer.status);
    if (event.type === "speech.audio.done") break;
    if (event.type !== "speech.audio.delta") continue;
    const bytes = bytesOf(event.audio);
    if (streams) put(player, reader.read(bytes));
    else parts.push(bytes);
  }
  if (!streams) put(player, await player.decodeAs(format, joined(parts).buffer));
  player.finish();
}

/**
 * Add samples, and let them be heard as soon as there are any.
 * @param {import("./player.js").Player} player
 * @param {Float32Array} samples
 */
function put(player, samples) {
  if (!samples.length) return;
  const first = player.duration === 0;
  player.append(samples);
  if (first) player.play();
}

/**
 * Look again and again, until the signal; a look that fails is left out.
 * @param {() => Promise<void>} look
 * @param {AbortSignal} signal
 */
async function follow(look, signal) {
  while (!signal.aborted) {
    await look().catch(() => {});
    await pause(LOOK_MS, signal);
  }
}

/**
 * How far a job is. Its id is known with its first sound; before, the server tells how busy it is.
 * @param {import("./api.js").Api} api
 * @param {string} jobId
 * @param {AbortSignal} signal
 * @returns {Promise<Progress>}
 */
async function progress(api, jobId, signal) {
  const init = { signal, quiet: true };
  if (jobId) return (await api.json(`v1/jobs/${encodeURIComponent(jobId)}`, init)).progress;
  const { status, queue } = await api.json("health", init);
  const isInLine = (queue?.jobs ?? 1) > 1;
  return { phase: status === "loading" ? "loading" : isInLine ? "waiting" : "first", percent: 0 };
}

/**
 * The result of a job that has just been heard; its record may be a moment late.
 * @param {import("./api.js").Api} api
 * @param {string} jobId
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function resultOf(api, jobId, signal) {
  for (let left = RESULT_TRIES; ; left -= 1) {
    try {
      return await api.json(`v1/jobs/${encodeURIComponent(jobId)}/result`, { signal });
    } catch (/** @type {any} */ error) {
      if (!left || error.code !== "job_not_complete") throw error;
    }
    await pause(150, signal);
  }
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal] ends the pause
 */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });
}
