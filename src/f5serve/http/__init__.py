"""The HTTP server: OpenAI's routes for speech, and routes for voices, jobs and models.

    bytes -> connections -> middleware -> router -> SpeechService -> answer

- `serve`: the process.  `server`: start and shutdown.  `app`: routers and the order of middleware.
- `state`: what routes work with.  `errors`: an error as OpenAI's error body.
- `middleware/`: logs, keys and limits.  `routers/`: routes by subject.  `web/`: the studio page.
- `elevenlabs/`: what ElevenLabs' routes share.

FastAPI is imported with these modules, so only `f5serve serve` and tests import them.
"""
