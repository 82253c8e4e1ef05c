"""Forced alignment: when each word of a known text is heard, and subtitles of that.

    text -> words.read -> Reading;  Reading + Wave -> an Aligner -> Alignment -> subtitles.write

- `words`: a text as it is written and as it is spoken, and which word is which.
- `sphinx`: English, on the CPU, in `child_process`.  `windows`: long recordings, part by part.
- `ctc`: any language for which there is a CTC model; `encoder` computes its log probabilities.
- `aligners`: which of them takes a request.  `subtitles`: words to files.

Importing this package loads no model and no heavy library.
"""
