"""F5-TTS voice cloning as a service."""

__version__ = "0.2.0"
