"""Whole requests of one caller, with and without graphs; where the time outside of steps goes."""

from __future__ import annotations

import threading
import time
from statistics import median
from typing import Any

import torch

from cases import REF_TEXT, speech_text, step_flop
from f5serve.engine.engine import F5Engine
from f5serve.engine.packing import BatchLayout
from f5serve.engine.request import ReferencePrompt, Sequence
from f5serve.startup.loader import warm_up
from gpu.common import Run
from gpu.sections.steps import vars_of
from load_mix import FRAMES_PER_S
from worker_ours import Ours, utterances

CASES = [(3.0, 3.0, 16), (6.0, 10.0, 32), (6.0, 10.0, 16), (6.0, 10.0, 7), (6.0, 20.0, 32)]
"""Seconds of reference and speech, steps."""
SETTLED_S = 4.0


def measure(run: Run) -> None:
    """Requests, then their stages, then the convolutions whose plans depend on the length."""
    engine = run.engine()
    ours = Ours()
    ours.engine, ours.device = engine, run.device
    first = _asked(run, 3.0, 3.0, 7)
    run.tell("first request", ms=run.once_ms(lambda: ours.request(dict(first))))
    run.tell("warm-up", ms=run.once_ms(lambda: warm_up(engine)))
    for case in [(1.0, 1.0, 7)] if run.small else CASES:
        for graphs in (False, True):
            request(run, ours, case, graphs)
    for ref_s, gen_s in [(1.0, 1.0)] if run.small else [(3.0, 3.0), (6.0, 10.0)]:
        stages(run, engine, ref_s, gen_s)
    if run.on_gpu:
        convolutions(run, engine)


def _asked(run: Run, ref_s: float, gen_s: float, nfe: int) -> dict[str, Any]:
    return {
        "ref_s": ref_s,
        "ref_text": REF_TEXT,
        "text": speech_text(gen_s),
        "frames": round((ref_s + gen_s) * FRAMES_PER_S),
        "nfe_step": nfe,
        "seed": 5,
        "out": str(run.work / "wave.npy"),
    }


def request(run: Run, ours: Ours, case: tuple[float, float, int], graphs: bool) -> None:
    """Wall milliseconds of one request after the other: what a caller waits."""
    ref_s, gen_s, nfe = case
    asked, runner = _asked(run, *case), ours.engine.runner
    kept = runner.graphs
    if not graphs:
        runner.graphs = None
    try:
        for _ in range(run.often(3) + 1):
            ours.request(dict(asked))
        if graphs:
            settle(run, ours.engine)
            ours.request(dict(asked))  # the trial of what was recorded
        before = ours.engine.counters()
        took = [ours.request(dict(asked))["timing"]["wall"] * 1e3 for _ in range(run.often(12))]
        after = ours.engine.counters()
    finally:
        runner.graphs = kept
    ideal_ms = nfe * step_flop(vars_of(ours.engine), asked["frames"]) / run.rate * 1e3
    replayed = after.get("graph_steps", 0) - before.get("graph_steps", 0)
    run.tell(
        "request",
        case=f"{ref_s:g}+{gen_s:g}",
        nfe=nfe,
        graphs=graphs,
        replayed=replayed,
        p50_ms=median(took),
        best_ms=min(took),
        worst_ms=max(took),
        rtf=median(took) / 1e3 / gen_s,
        ideal_ms=ideal_ms,
        share_of_ideal=ideal_ms / median(took),
    )


def settle(run: Run, engine: F5Engine) -> None:
    """Wait until nothing more is recorded: that is done once nobody has come for a while."""
    seen, since = -1.0, time.monotonic()
    ends = since + (0.5 if run.small else SETTLED_S)
    while time.monotonic() < ends and time.monotonic() - since < 0.5:
        now = engine.counters().get("graph_captures", 0)
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.05)


def stages(run: Run, engine: F5Engine, ref_s: float, gen_s: float) -> None:
    """Beginning and finishing a row, at a length that was met before and at new ones."""
    runner, case = engine.runner, f"{ref_s:g}+{gen_s:g}"
    asked = _asked(run, ref_s, gen_s, 7)

    def waiting(more: int = 0) -> Sequence:
        part = asked | {"frames": asked["frames"] + more}
        (utterance,) = utterances(asked, [part])
        prompt = ReferencePrompt.of(utterance.voice)
        seq = Sequence.of(utterance, prompt, [1] * len(asked["text"]), runner)
        runner.prepare(seq)
        return seq

    def finish(seq: Sequence) -> None:
        runner.vocode([seq]).waves()

    def started(seq: Sequence) -> Sequence:
        runner.start(seq)
        return seq

    with torch.inference_mode():
        same = [run.once_ms(lambda: runner.start(waiting())) for _ in range(run.often(8))]
        news = [waiting(3 * i + 1) for i in range(run.often(8))]
        new = [run.once_ms(lambda one=one: runner.start(one)) for one in news]
        run.tell("begin a row", case=case, same_length_ms=median(same), new_lengths_ms=new)
        ends = [started(waiting()) for _ in range(run.often(8))]
        same = [run.once_ms(lambda seq=seq: finish(seq)) for seq in ends]
        ends = [started(waiting(3 * i + 1)) for i in range(run.often(8))]
        new = [run.once_ms(lambda seq=seq: finish(seq)) for seq in ends]
        run.tell("finish a row", case=case, same_length_ms=median(same), new_lengths_ms=new)
    took: list[float] = []
    thread = threading.Thread(
        target=lambda: took.extend(run.once_ms(lambda: runner.start(waiting())) for _ in range(2))
    )
    thread.start()
    thread.join()
    run.tell("begin a row in a new thread", case=case, ms=took)


def convolutions(run: Run, engine: F5Engine) -> None:
    """Those whose plans cuDNN makes by length: of the text, and of positions."""
    backbone = engine.runner.backbone
    dwconv = backbone.text.blocks[0].dwconv
    width = len(dwconv.weight)
    for cudnn in (True, False):
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=cudnn, allow_tf32=False):
            texts = [
                torch.randn(2, width, n, device=run.device, dtype=dwconv.weight.dtype)
                for n in (801, 802, 811, 900, 801)
            ]
            took = [run.once_ms(lambda y=y: dwconv(y)) for y in texts]
            again = run.ms(lambda y=texts[-1]: dwconv(y))
            run.tell("text convolution", cudnn=cudnn, new_lengths_ms=took, again_ms=again)
    position = backbone.input.position
    took, width = [], len(position.conv1.weight)
    with torch.inference_mode():
        for n in (801, 802, 811, 900, 1000, 801):
            layout = BatchLayout.of([n, n + 5] * 2, torch.device(run.device), False)
            y = torch.randn(4 * n + 10, width, device=run.device, dtype=position.conv1.weight.dtype)
            took.append(run.once_ms(lambda y=y, layout=layout: position(y, layout)))
        again = run.ms(lambda y=y, layout=layout: position(y, layout))
    run.tell("position convolution", tokens=len(y), new_lengths_ms=took, again_ms=again)
