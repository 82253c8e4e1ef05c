// Runs in the audio thread: hands on what the microphone hears.

class Tap extends AudioWorkletProcessor {
  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const heard = inputs[0]?.[0];
    if (heard?.length) this.port.postMessage(heard.slice());
    return true;
  }
}

registerProcessor("tap", Tap);
