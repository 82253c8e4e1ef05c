"""Speech, voices, jobs and health: every operation once, for all entrypoints.

`SpeechService.submit` begins a job and returns a `JobHandle`; `answer` takes any payload.

    requests -> TTSRequest -> active_jobs (once per id) -> runner (claim .. done.json) -> responses

- `requests`: fields, read strictly.  `responses`: records to JSON.  `results`: what is stored.
- `active_jobs`: jobs running here.  `events`: what happens to them.  `runner`: one job.
- `job_handle`: jobs as callers see them: events, result, status, list.
- `executor`: inference threads, and pools for blocking calls.  `admission`: the backlog.
- `books`: books, whose `chapters` are jobs; `book_store` keeps them, `book_files` writes them.
- `queue`: jobs for later.  `voices`, `erasure`: voices.
- `metrics`, `health`: what is counted and checked.  `supervisor`: background tasks.
"""

from f5serve.service.dependencies import ServiceOptions
from f5serve.service.service import SpeechService

__all__ = ["ServiceOptions", "SpeechService"]
