// Runs in the audio thread: hands on what the microphone hears.
// @ts-nocheck The names of that thread are in no library of TypeScript's.

class Tap extends AudioWorkletProcessor {
  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const heard = inputs[0]?.[0];
    if (heard?.length) this.port.postMessage(heard.slice());
    return true;
  }
}

registerProcessor("tap", Tap);
