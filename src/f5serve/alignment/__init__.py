"""Where each word of a known text is heard, and that as subtitles.

    text -> words.read -> Reading;  Reading + Wave -> an Aligner -> Alignment -> subtitles.write

- `words`: a text as it is written and as it is spoken, and which word is which.
- `exact`: times that the speaker itself has told.  `sphinx`: English, on the CPU.
- `ctc`: any language for which there is a CTC model: `encoder` hears, `viterbi` finds the path.
- `aligners`: which of them takes a request.  `lines`, `subtitles`: words to files.

Importing this package loads no model and no heavy library.
"""
