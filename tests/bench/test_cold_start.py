"""The arithmetic of the cold starts, and that its targets can be missed."""

from __future__ import annotations

from typing import Any

from cold_start import ratios, summary, targets


def runs(hub_s: float, tier_s: float) -> dict[str, list[dict[str, float]]]:
    seconds = {"baked": tier_s, "tier": tier_s, "store": hub_s / 5, "hub": hub_s}
    one = {"first_line": 0.1, "before_torch": 0.3}
    return {kind: [one | {"ready": s * n} for n in (1, 2, 4)] for kind, s in seconds.items()}


def result(hub_s: float, tier_s: float, pull: float = 1.0) -> dict[str, Any]:
    made = runs(hub_s, tier_s)
    pulled = {"limited": {"ratio": pull}, "unlimited": {"ratio": pull}}
    return {"seconds": summary(made), "ratios": ratios(made), "pull": pulled}


def test_medians_and_ratios_of_the_same_round() -> None:
    made = result(50.0, 4.0)
    assert made["seconds"]["hub"]["ready"] == 100.0
    assert made["ratios"]["hub/tier"] == 12.5
    assert "upstream-hub/hub" not in made["ratios"]


def test_targets_are_met_and_missed() -> None:
    assert all(targets(result(50.0, 4.0)).values())
    missed = [name for name, held in targets(result(30.0, 4.0, pull=1.2)).items() if not held]
    assert missed == [
        "second start 10 times as fast as one over the hub",
        "pull within 1.1 of s5cmd, limited",
    ]
