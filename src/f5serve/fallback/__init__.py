"""The built-in speaker: speech without a hub, a graphics card or torch.

Utterances flow in, 24 kHz waves flow out, through the same `Engine` protocol as F5-TTS. It clones
no voice and says so. `kokoro` is the speaker, `tone` a beep of known length and cost for load
tests. Importing this package loads neither a model nor onnxruntime.
"""
