"""Where the utterances of a job are kept: for its next attempt, or for all jobs of a book."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from f5serve.jobs.checkpoints import CheckpointStore
from f5serve.jobs.records import Lease
from f5serve.service.dependencies import Dependencies
from f5serve.service.requests import TTSRequest
from f5serve.synthesis.checkpoints import Checkpoints, UtteranceCheckpoints
from f5serve.synthesis.kept_utterances import KeptUtterances
from f5serve.synthesis.speech_plan import SpeechPlan


def open_checkpoints(
    deps: Dependencies,
    request: TTSRequest,
    lease: Lease,
    plan: SpeechPlan,
    decided_by: Mapping[str, Any],
) -> Checkpoints | None:
    """The checkpoints of a job; None where keeping its utterances does not pay.

    Args:
        decided_by: what decides a wave besides its utterance: the engine, and a verification.
    """
    store, submit = deps.job_store.store, deps.pools.utterances.submit
    if request.kept_under:  # without the program: a new version speaks no finished sentence again
        return KeptUtterances(CheckpointStore(store, request.kept_under), decided_by, submit)
    if len(plan.utterances) < deps.checkpoints.min_utterances:
        return None
    return UtteranceCheckpoints(
        CheckpointStore.of_job(store, lease.job_id),
        {"engine": decided_by["engine"], "program": deps.job_store.program},
        lease.attempt > 1,
        submit,
        deps.checkpoints,
    )
