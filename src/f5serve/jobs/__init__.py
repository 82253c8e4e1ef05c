"""Job records in the store, readable by any worker after any crash.

- `records`: keys, encoding, status rules, leases; no store calls.  `schema`: checks of each record.
- `record_reader`: reads them strictly.
- `store`: claim, heartbeat, complete, fail, cancel, status.
- `cache`: results of equal requests.  `checkpoints`: finished parts of an unfinished job.
- `pending`: jobs for later.  `history`: an index by time, and the newest jobs.
- `retention`: removal of what is old.

docs/decisions/0010-job-records.md gives the reasons.
"""
