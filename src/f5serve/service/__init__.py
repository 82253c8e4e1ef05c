"""Speech, voices, jobs and health: every operation once, for all entrypoints.

`SpeechService.answer` takes the input of a job and returns its answer.

    requests -> TTSRequest -> active_jobs (once per id) -> runner (claim .. done.json) -> responses

- `requests`: fields, read strictly.  `responses`: records to JSON.  `results`: what is stored.
- `active_jobs`: jobs running here.  `events`, `job_handle`: what callers get.  `runner`: one job.
- `executor`: inference threads, and pools for blocking calls.  `admission`: the backlog.
- `queue`: jobs for later.  `job_queries`: status, result, list.  `voices`, `erasure`: voices.
- `metrics`, `health`: what is counted and checked.  `supervisor`: background tasks.
"""

from f5serve.service.dependencies import ServiceOptions
from f5serve.service.service import SpeechService

__all__ = ["ServiceOptions", "SpeechService"]
