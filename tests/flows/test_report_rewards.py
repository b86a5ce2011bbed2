"""The report shows what experts said of each generator and how far their model can be believed."""

from __future__ import annotations

from typing import Any

from flows.console import to_plain
from flows.report.rewards import describe_rewards
from synthesis.reward import RewardQuality
from synthesis.rewarding import RewardReport
from synthesis.verdict_trend import GeneratorVerdicts


def a_round(**changes: Any) -> dict[str, Any]:
    """Return the report of a round as it is stored."""
    trend = (
        GeneratorVerdicts("aaaaaaaaaaaa", 30, 24, 0.8, 0.63, 0.9, {"artefact": 4, "wrong class": 20}),
        GeneratorVerdicts("bbbbbbbbbbbb", 30, 9, 0.3, 0.17, 0.48, {"wrong class": 9}),
    )
    quality = RewardQuality(60, 33, "nearest patient", 0.81, 0.7, 0.9, 0.08, 0.17, 0.25, ((0.2, 0.25, 20), (0.7, 0.7, 40)))
    report: dict[str, Any] = {"task": "colour-2d", "reward": to_plain(RewardReport("orders candidates", quality, 40, 0, 0, trend))}
    return report | changes


def test_trend_and_reliability_are_drawn() -> None:
    """One line a generator, oldest first, and one a bin, with what was said."""
    shown = describe_rewards([a_round()])
    assert shown["reward_uses"] == [("colour-2d", "orders candidates")]
    assert shown["reward_trend"]["generator"].to_list() == ["aaaaaaaaaaaa", "bbbbbbbbbbbb"]
    assert shown["reward_trend"]["reasons"][0] == "wrong class 20, artefact 4"
    ((_, trend),) = shown["reward_trends"]
    assert trend.index("24 of 30 rejected") < trend.index("9 of 30 rejected")
    ((_, quality, reliability),) = shown["reward_reliability"]
    assert quality["auroc"] == 0.81
    assert "said 0.70" in reliability
    assert "0.70 of 40 rejected" in reliability


def test_without_verdicts_only_the_reason_is_shown() -> None:
    """And without a round nothing."""
    shown = describe_rewards([a_round(reward=to_plain(RewardReport("nothing is learned from verdicts: the recipe turns it off")))])
    assert (shown["reward_trends"], shown["reward_reliability"], len(shown["reward_uses"])) == ([], [], 1)
    assert shown["reward_trend"].is_empty()
    assert describe_rewards([a_round(reward=None)])["reward_uses"] == []
