"""8 clients that ask without pause, through the engine loop: audio seconds a second, latencies."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean, median
from typing import Any

from cases import step_flop
from f5serve.startup.loader import warm_up
from gpu.common import Run
from gpu.sections.requests import settle
from gpu.sections.steps import vars_of
from load_mix import MIXES, SAMPLE_RATE, Mix, figures, request
from worker_ours import Ours

CLIENTS = 8
SPAN_S = 6.0
"""About as long as one load is to take."""
KINDS = ("short", "short", "short", "long")


def measure(run: Run) -> None:
    """At 16 steps, then at 7 and 32; alone before, for the fair share."""
    ours = Ours()
    ours.engine, ours.device = run.engine(), run.device
    warm_up(ours.engine)
    for nfe in [7] if run.small else [16, 7, 32]:
        mix = replace(MIXES["small" if run.small else "full"], long_parts=1, nfe_step=nfe)
        alone_s = alone(run, ours, mix)
        for graphs in (True, False):
            load(run, ours, mix, alone_s, graphs)


def alone(run: Run, ours: Ours, mix: Mix) -> dict[str, float]:
    """Seconds that a request of each kind takes when nobody else asks."""
    found = {}
    for kind in ("short", "long"):
        told = traffic(ours, [[request(mix, kind, seed=i) for i in range(run.often(4))]])
        found[kind] = median(r["done"] - r["arrived"] for r in told["requests"])
    return found


def traffic(ours: Ours, clients: list[Any]) -> dict[str, Any]:
    """What became of each request."""
    told = ours.traffic({"clients": clients, "policy": "", "budget": 0})
    failed = [r["error"] for r in told["requests"] if "error" in r]
    if failed:
        raise RuntimeError(f"{len(failed)} requests failed: {failed[0]}")
    return told


def load(run: Run, ours: Ours, mix: Mix, alone_s: dict[str, float], graphs: bool) -> None:
    """One load, after one that lets every kind of step be recorded."""
    usual_s = mean(alone_s[kind] for kind in KINDS)
    each = 1 if run.small else min(24, max(4, round(SPAN_S / usual_s / CLIENTS)))
    clients = [
        [request(mix, KINDS[(i + n) % 4], seed=100 * i + n) for n in range(each)]
        for i in range(2 if run.small else CLIENTS)
    ]
    runner = ours.engine.runner
    kept = runner.graphs
    if not graphs:
        runner.graphs = None
    try:
        if graphs and not run.small:
            traffic(ours, clients)
            settle(run, ours.engine)
        told = traffic(ours, clients)
    finally:
        runner.graphs = kept
    counted, made = told["counted"], figures(told["requests"], alone_s)
    frames = [part["frames"] for client in clients for asked in client for part in asked["parts"]]
    ideal_s = mix.nfe_step * sum(step_flop(vars_of(ours.engine), n) for n in frames) / run.rate
    span_s = sum(r["samples"] for r in told["requests"]) / SAMPLE_RATE / made["audio_per_s"]
    run.tell(
        "load",
        clients=len(clients),
        nfe=mix.nfe_step,
        graphs=graphs,
        requests=len(told["requests"]),
        **{key: made[key] for key in ("audio_per_s", "p50", "p95", "first_p50")},
        p95_over_p50=made["p95"] / made["p50"],
        beyond_fair_share=made["beyond_fair_share"],
        share_of_ideal=ideal_s / span_s,
        rows_per_step=counted["row_steps"] / max(1, counted["steps"]),
        graph_share=counted.get("graph_steps", 0) / max(1, counted["steps"]),
        cpu_cores=told["cpu_s"] / span_s,
        gpu_mb=told["state"]["gpu_mb"],
    )
