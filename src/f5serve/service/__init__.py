"""What can be asked of f5serve, whatever the door: speech, voices, jobs, health.

`Operations.answer` takes the input of a job and returns what is told to the caller.

    parse -> Ask -> flights (once per id, stoppable) -> perform (claim .. done.json) -> answers

- `parse`: fields, strictly.  `uploads`: recordings.  `answers`: records to JSON.
- `flights`: jobs under way here.  `device`: the thread that computes.  `perform`: one job.
- `pools`: threads by kind of work.  `probe`, `health`: what is looked at, and told.
- `queue`: jobs for later.  `story`: what is kept of a result.  `files`: its files.
"""

from f5serve.service.desk import Operations
from f5serve.service.options import Options

__all__ = ["Operations", "Options"]
