"""What experts said of each generator, and what the model of their verdicts is worth: part of the section on synthesis."""

from __future__ import annotations

from typing import Any

import polars as pl

from flows.report.charts import Dot, dot_chart
from synthesis.screens.rates import count

COUNTS = ("judged", "rejected", "share", "share_low", "share_high", "audited", "audited_rejected")


def describe_rewards(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the template asks for about verdicts and their model, from the newest round of each task; without any, empty parts."""
    told = [(one["task"], one["reward"]) for one in rounds if one.get("reward")]
    return {
        "reward_uses": [(task, reward["use"]) for task, reward in told],
        "reward_trend": list_trend(told),
        "reward_trend_numbers": list(COUNTS),
        "reward_trends": [(task, draw_trend(reward["trend"])) for task, reward in told if reward["trend"]],
        "reward_reliability": [(task, reward["quality"], draw_reliability(reward["quality"])) for task, reward in told if reward["quality"]],
    }


def list_trend(told: list[tuple[str, dict[str, Any]]]) -> pl.DataFrame:
    """Return one row a generator, oldest first, with its rejections and their reasons."""
    rows = [
        {"task": task, "generator": one["generator"], **{name: one[name] for name in COUNTS}, "reasons": _in_words(one["reasons"])}
        for task, reward in told
        for one in reward["trend"]
    ]
    texts = {"task": pl.String, "generator": pl.String}
    return pl.DataFrame(rows, schema={**texts, **dict.fromkeys(COUNTS, pl.Float64), "reasons": pl.String})


def _in_words(reasons: dict[str, int]) -> str:
    """Return reasons with their counts, the commonest first."""
    return ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items(), key=lambda one: (-one[1], one[0])))


def draw_trend(trend: list[dict[str, Any]]) -> Any:
    """Return the share of rejections of each generator with its interval, oldest first."""
    dots = [
        Dot(one["generator"], "now", one["share"], one["share_low"], one["share_high"], note=f"{one['rejected']} of {one['judged']} rejected") for one in trend
    ]
    return dot_chart(dots, "share of candidates that experts rejected, by generator")


def draw_reliability(quality: dict[str, Any]) -> Any:
    """Return, for each bin of the model's probabilities, the share that experts rejected, with a tick at the mean probability."""
    found = [(mean, count(round(share * images), images)) for mean, share, images in quality["reliability"]]
    dots = [
        Dot(f"said {mean:.2f}", "now", rate.share, rate.low, rate.high, note=f"{rate.share:.2f} of {rate.of} rejected", chance=mean)
        for mean, rate in found
        if rate is not None
    ]
    return dot_chart(dots, "share that experts rejected, by what the model said")
