"""ElevenLabs' API: what its routes and sockets share.

- `formats`: names of `output_format`.  `fields`: bodies of requests.  `errors`: the error body.
- `alignment`: times of words as times of characters.
"""
