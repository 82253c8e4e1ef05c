"""Speech recognition by a Whisper model on this machine, and word errors against a known text.

    Wave -> Whisper.transcribe -> Transcript;  text + Transcript -> compare -> WordErrors

- `whisper`: which models there are, and where on the disk; one of them, loaded late.
- `windows`: tokens that go into a model and may come out, what comes out as a transcript.
- `word_errors`: comparable words of a text, the edits between two texts, times of words.
"""
