"""Clone a voice through a running `f5serve serve`, speak in it, and see when each word is heard.

python examples/http_clone_voice.py RECORDING "Its words." "What to say." http://127.0.0.1:8000
"""

import sys
from pathlib import Path

import httpx

recording, words, text, url = sys.argv[1:]
server = httpx.Client(base_url=url, timeout=300)  # headers={"X-API-Key": ...} if it asks for keys


def ask(method: str, path: str, **body: object) -> httpx.Response:
    answer = server.request(method, path, **body)
    if answer.is_error:
        sys.exit(answer.json()["error"]["message"])
    return answer


sample = {"audio_sample": Path(recording).read_bytes()}
voice = ask("POST", "/v1/audio/voices", data={"name": "mine", "ref_text": words}, files=sample)
wanted = {"model": "tts-1", "voice": voice.json()["id"], "input": text, "return_word_timings": True}
speech = ask("POST", "/v1/audio/speech", json=wanted)
Path("speech.mp3").write_bytes(speech.content)
job = ask("GET", f"/v1/jobs/{speech.headers['X-F5-Job-Id']}/result").json()
for word in job["word_timings"]:
    print(f"{word['start_time']:6.2f} s  {word['word']}")
