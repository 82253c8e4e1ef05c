"""torch.profiler over steps, a beginning and an end: tables in files, the largest parts told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from f5serve.engine.cuda_graphs import CAPTURE_AFTER
from gpu.common import Run, record_all
from gpu.sections.steps import Steps

FOUR = [800, 820, 780, 810]
SHOWN = 22


def measure(run: Run) -> None:
    """Eager steps, then the same replayed."""
    engine = run.engine()
    runner = engine.runner
    kept, runner.graphs = runner.graphs, None
    four = [60, 70] if run.small else FOUR
    table(run, "eager, 1 row", Steps(run, engine, four[:1], False).one)
    table(run, "eager, 4 rows, mixed", Steps(run, engine, four, True).one)
    if not run.small:
        table(run, "eager, 16 rows, mixed", Steps(run, engine, four * 4, True).one)
    batch = Steps(run, engine, four[:1], False).batch
    table(run, "vocoder", lambda: runner.vocode(batch).waves())
    runner.clear_batch()
    runner.graphs = kept
    steps = Steps(run, engine, four, True)
    for _ in range(CAPTURE_AFTER):
        steps.one()
    record_all(engine)
    steps.one()
    table(run, "replayed, 4 rows, mixed", steps.one)


def table(run: Run, name: str, work: Callable[[], object], repeat: int = 3) -> None:
    """Profile some runs of `work`; kernels, time, and what takes most of it."""
    repeat = run.often(repeat)
    for _ in range(repeat):
        work()
    run.sync()
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * run.on_gpu
    with profile(activities=kinds) as profiler:
        for _ in range(repeat):
            work()
        run.sync()
    key = "self_device_time_total" if run.on_gpu else "self_cpu_time_total"
    averages = profiler.key_averages()
    text = averages.table(sort_by=key, row_limit=45, max_name_column_width=90)
    run.out.joinpath(f"profile-{name.replace(', ', '-').replace(' ', '-')}.txt").write_text(text)
    kind = torch.autograd.DeviceType.CUDA if run.on_gpu else torch.autograd.DeviceType.CPU
    took: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for event in profiler.events():
        if event.device_type == kind:
            took[event.name[:80]] += event.time_range.elapsed_us() / repeat
            count[event.name[:80]] += 1 / repeat
    top = [[part, round(us), round(count[part])] for part, us in took.most_common(SHOWN)]
    run.tell("profile", of=name, events=round(sum(count.values())), us=sum(took.values()), top=top)
