"""The Wyoming protocol, by which Home Assistant asks for speech. Begins in `serve.py`."""
