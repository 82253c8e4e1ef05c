"""Speak a sentence into a file from Python: python examples/say.py "Hello." hello.wav"""

import sys
from pathlib import Path

from f5serve.settings import Settings
from f5serve.startup import default_options, load
from f5serve.types import SpeechRequest
from f5serve.voices.prepare import default_voice

text, file = sys.argv[1:]
settings = Settings.from_environ()
synthesizer = load(settings).synthesizer  # load once, say often

# voices.prepare.prepare_voice("ana", Path("ana.wav").read_bytes(), "What Ana says in it.").voice
request = SpeechRequest(text, voice=default_voice(), options=default_options(settings))
result = synthesizer.synthesize(request)

Path(file).write_bytes(result.audio)
print(f"{file}: {result.wave.duration_s:.1f} s by {result.model}, seed {result.seed}")
print(*result.warnings, sep="\n")
