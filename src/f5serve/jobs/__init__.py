"""What is known about jobs, kept in the store, so that any worker can tell after any death.

- `records`: keys, JSON and the rules by which evidence becomes a status; no store calls.
- `board`: claim, beat, finish, fail, cancel and look up a job.
- `cache`: results of equal requests.
- `waiting`: jobs for later, kept until they are over.  `history`: the newest jobs.
- `retention`: what is old enough to go.

docs/decisions/0010-job-records.md tells why it is built so.
"""
