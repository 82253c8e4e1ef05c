"""Bytes that a caller names: by URL, inside the request, or as a file that many want at once.

- `url`: a URL from outside -> its bytes, without a way into our own network.
- `inline`: base64 text -> bytes.
- `once`: one download per file and machine, whatever the number of threads and processes.

What the bytes mean is for the rooms above.
"""
