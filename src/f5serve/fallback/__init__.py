"""The built-in speaker: speech without a hub, a graphics card or torch.

It implements the same `Engine` protocol as F5-TTS, clones no voice and says so. `kokoro` is the
speaker, `tone` a beep of known length and cost for load tests. Importing this package loads neither
a model nor onnxruntime.
"""
