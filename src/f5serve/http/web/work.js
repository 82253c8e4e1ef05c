// What is being made: one thing at a time, which can be given up.

export class Work extends EventTarget {
  /** Emits "change" when something is begun or ended. */
  constructor() {
    super();
    /** @type {AbortController | null} */
    this._controller = null;
  }

  get busy() {
    return this._controller !== null;
  }

  /** Give up what is being made. */
  cancel() {
    this._controller?.abort();
  }

  /**
   * Make something.
   * @param {(signal: AbortSignal) => Promise<void>} make
   * @returns {Promise<unknown>} null when it is made, "cancelled", or the error
   */
  async run(make) {
    if (this.busy) return new Error("Something is being made. Wait for it, or cancel it first.");
    const controller = (this._controller = new AbortController());
    this.dispatchEvent(new Event("change"));
    try {
      await make(controller.signal);
      return null;
    } catch (error) {
      const cancelled = controller.signal.aborted;
      controller.abort();
      return cancelled ? "cancelled" : error;
    } finally {
      this._controller = null;
      this.dispatchEvent(new Event("change"));
    }
  }
}
