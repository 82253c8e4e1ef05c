"""What clients asked for, as the jobs of the server tell."""

from __future__ import annotations

from typing import Any

from tests.http.house import House


class NewJobs:
    """The jobs that a server has had since this was made."""

    def __init__(self, home: House) -> None:
        self._home = home
        self._before = set(self._ids())

    def asked(self) -> list[tuple[Any, ...]]:
        """Text, voice and format of each."""
        new = [job for job in self._ids() if job not in self._before]
        results = [self._home.client.get(f"/v1/jobs/{job}/result").json() for job in new]
        return [(one["text"], one["voice"], one["format"]) for one in results]

    def _ids(self) -> list[str]:
        keys = [entry.key for entry in self._home.service.store.list("jobs/")]
        return [key.split("/")[1] for key in keys if key.endswith("/done.json")]
