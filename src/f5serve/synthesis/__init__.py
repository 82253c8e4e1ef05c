"""Text to speech: `synthesizer` is the main path."""
