"""F5-TTS and E2-TTS in plain PyTorch: utterances in, waves out.

Torch lives in this room. Shapes stand as trailing comments in one legend:

    b  rows of a batch              d   width of the transformer
    n  mel frames of one row        m   frames of all rows together (packed)
    nt text tokens                  nw  samples of a wave
    h  attention heads              s   ODE steps

Rows of different length are packed one behind the other, never padded: the linear layers see all
frames at once, attention sees one sequence at a time, and a row's result does not depend on what
runs beside it.
"""
