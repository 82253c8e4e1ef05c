"""The HTTP server: OpenAI's contract and everything else that can be asked, over `operations`.

    bytes -> observed -> guard -> route -> Operations -> answer

- `serve`: the program.  `app`: which route is where.  `service`: what routes work with.
- `guard`: who may call, and how much.  `observed`: counts, times, the log line of a request.
- `errors`: an error to OpenAI's error body.  `routes_*`: parse, call, format.

FastAPI is imported with the modules of this package, so nothing else imports them but the verb
`serve` and tests.
"""
