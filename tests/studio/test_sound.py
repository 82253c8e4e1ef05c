"""What a browser makes of our files, and we of its: nothing is lost on either way."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from playwright.sync_api import Browser, Error, Page

from f5serve.audio.decode import decode
from f5serve.audio.encode import encode
from f5serve.audio.encode_stream import open_encoder
from f5serve.types import AudioFormat, FloatArray, Wave
from tests.studio.browser import needs_chromium

pytestmark = needs_chromium

SECONDS = 5.3
RECORD = """async (kind) => {
  const context = new AudioContext();
  const tone = new OscillatorNode(context, {frequency: 220});
  const out = context.createMediaStreamDestination();
  tone.connect(out);
  const recorder = new MediaRecorder(out.stream, {mimeType: kind});
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
  tone.start();
  recorder.start(250);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  recorder.stop();
  await stopped;
  await context.close();
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}"""
DECODE = """async (text) => {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const context = new OfflineAudioContext(1, 24000, 24000);
  const found = await context.decodeAudioData(bytes.buffer);
  const sound = found.getChannelData(0);
  let end = sound.length;
  while (end && Math.abs(sound[end - 1]) < 0.02) end -= 1;
  return [found.duration, end / found.sampleRate];
}"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Page:
    """An empty page, which may use what pages of a server may."""
    opened = browser.new_page()
    opened.route("http://localhost/", lambda route: route.fulfill(body="<title>.</title>"))
    opened.goto("http://localhost/")
    return opened


def sound() -> FloatArray:
    """A tone, up to the very end."""
    time_s = np.arange(round(24_000 * SECONDS)) / 24_000
    return np.asarray(0.3 * np.sin(2 * np.pi * 330 * time_s), np.float32)


def streamed(format: AudioFormat) -> bytes:
    encoder = open_encoder(format)
    return b"".join(map(encoder.add, np.array_split(sound(), 7))) + encoder.end()


@pytest.mark.parametrize("format", ["wav", "mp3", "opus", "flac", "aac"])
def test_a_browser_reads_what_was_streamed_to_its_end(page: Page, format: AudioFormat) -> None:
    for data in (streamed(format), encode(Wave(sound()), format)):
        try:
            duration_s, end_s = page.evaluate(DECODE, base64.b64encode(data).decode())
        except Error as error:
            if format == "aac" and "Unable to decode" in str(error):
                pytest.skip("this browser was built without aac")
            raise
        assert SECONDS - 0.02 <= end_s <= SECONDS + 0.1
        assert end_s <= duration_s <= SECONDS + 0.2


@pytest.mark.parametrize("kind", ["audio/webm;codecs=opus", "audio/mp4;codecs=opus", "audio/mp4"])
def test_we_read_what_a_browser_records(page: Page, kind: str) -> None:
    if not page.evaluate("(kind) => MediaRecorder.isTypeSupported(kind)", kind):
        pytest.skip(f"this browser does not record {kind}")
    data = base64.b64decode(page.evaluate(RECORD, kind))
    wave = decode(data)
    assert 1.2 < wave.duration_s < 3
    middle = wave.samples[len(wave.samples) // 2 :][:9_600]
    assert np.argmax(np.abs(np.fft.rfft(middle))) / 0.4 == pytest.approx(220, abs=5)
    again = decode(2 * data)
    assert again.duration_s == pytest.approx(2 * wave.duration_s, abs=0.1)
