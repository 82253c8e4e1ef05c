// The server's routes. Errors come out as sentences, and a missing key is asked for once.

/** What the server refused, in its own words. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status 0 when nothing was answered
   * @param {string} code
   */
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export class Api {
  /** @param {import("./keys.js").Keys} keys */
  constructor(keys) {
    this._keys = keys;
  }

  /**
   * The answer to a request that succeeded.
   * @param {string} path relative to the page
   * @param {RequestInit & { quiet?: boolean }} [init] quiet: never ask anybody for a key
   * @returns {Promise<Response>}
   */
  async ask(path, { quiet = false, ...init } = {}) {
    for (;;) {
      const used = this._keys.current;
      const answer = await this._send(path, init, used);
      if (answer.ok) return answer;
      const error = await refusal(answer);
      if (answer.status !== 401 || quiet || !(await this._keys.askAfter(used))) {
        throw error;
      }
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit & { quiet?: boolean }} [init]
   * @returns {Promise<any>}
   */
  async json(path, init) {
    return (await this.ask(path, init)).json();
  }

  /**
   * @param {string} path
   * @param {unknown} body
   * @param {AbortSignal} [signal]
   */
  post(path, body, signal) {
    const headers = { "Content-Type": "application/json" };
    return this.ask(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   * @param {string} key
   */
  async _send(path, init, key) {
    const headers = new Headers(init.headers);
    if (key) headers.set("Authorization", `Bearer ${key}`);
    try {
      return await fetch(path, { ...init, headers });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiError("The server does not answer. Is it running?", 0, "unreachable");
    }
  }
}

/** @param {Response} answer */
async function refusal(answer) {
  const body = await answer.json().catch(() => null);
  return errorOf(body?.error, answer.status);
}

/**
 * The error in a body or in an event.
 * @param {any} told
 * @param {number} status
 */
export function errorOf(told, status) {
  const said = told?.message || `The server answered ${status} and said no more.`;
  return new ApiError(said, status, told?.code ?? "");
}
