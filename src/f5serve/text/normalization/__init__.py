"""Text normalization: what is written becomes the words that are spoken.

`normalizer.py` is the way in; `rules.py` says what a rule is. Each language has a file of its own.
"""
