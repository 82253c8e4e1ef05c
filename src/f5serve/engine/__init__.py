"""F5-TTS and E2-TTS in plain PyTorch: utterances in, waves out.

Read first: sampler.py, the algorithm; then request.py, scheduler.py, model_runner.py and loop.py,
which run it for many at once. Shapes stand as trailing comments in one legend:

    b  sequences of a batch         d   width of the transformer
    n  mel frames of one sequence   m   frames of all sequences together (packed)
    nt text tokens                  nw  samples of a wave
    h  attention heads              s   ODE steps
    r  vectors of a modulation      t   time points of a step
"""
