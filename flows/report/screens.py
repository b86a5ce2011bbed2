"""What the screens of a round found, and what they find when the fault is planted: part of the section on synthesis."""

from __future__ import annotations

from typing import Any

import polars as pl

from flows.report.charts import Dot, column_chart, dot_chart

ARTEFACTS = ("probe", "residue", "checkerboard", "border", "colour")
IN_WORDS = {"probe": "what the encoder sees", "residue": "fine noise or blur", "checkerboard": "checkerboard", "border": "frame", "colour": "colour"}
"""What each number looks at, for people who do not know its name."""
SWAPS = ("as they are", "with the source", "increase", "from", "to")


def describe_screens(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the template asks for about the screens, from the newest round of each task; empty where a round did not measure them."""
    told = [(one["task"], one["screens"]) for one in rounds if one.get("screens")]
    powers = [(task, power) for task, screens in told for power in screens.get("memorization", ())]
    shortcuts = [(task, shortcut) for task, screens in told for shortcut in screens.get("shortcut", ())]
    planted = [(task, screens["shortcut_power"]) for task, screens in told if screens.get("shortcut_power")]
    return {
        "screen_words": IN_WORDS,
        "screen_powers": [(task, power, draw_power(power, "planted copies caught")) for task, power in powers],
        "screen_agreements": [(task, draw_agreement(screens)) for task, screens in told if screens.get("agreement")],
        "screen_shortcuts": [(task, shortcut, draw_shortcut(shortcut), draw_spectrum(shortcut)) for task, shortcut in shortcuts],
        "screen_swaps": list_swaps(shortcuts),
        "screen_swap_numbers": list(SWAPS),
        "screen_sources": [(task, power, draw_power(power, "planted artefacts found")) for task, power in planted],
    }


def draw_power(power: dict[str, Any], title: str) -> Any:
    """Return the share of planted faults that were found, by kind, with intervals; false alarms stand below them."""
    dots = [_dot(kind, rate, "now") for kind, rate in power["by_kind"].items()]
    if power["false_alarms"]:
        dots.append(_dot("nothing planted", power["false_alarms"], "before"))
    return dot_chart(dots, title)


def _dot(label: str, rate: dict[str, Any], series: str, head: str = "") -> Dot:
    return Dot(label, series, rate["share"], rate["low"], rate["high"], head, f"{rate['found']} of {rate['of']}")


def draw_agreement(screens: dict[str, Any]) -> Any:
    """Return, by class, how many real val images of it pass and how many of other classes are stopped; below, by condition, how many candidates pass."""
    dots = []
    for power in screens["agreement"]:
        counted = {"real images of it that pass": power["passed"], "of other classes, stopped": power["stopped"]}
        known = [(name, rate) for name, rate in counted.items() if rate]
        dots += [_dot(name, rate, "now", "" if place else power["label"]) for place, (name, rate) in enumerate(known)]
    for place, (name, rate) in enumerate(screens["agreement_by_condition"].items()):
        dots.append(_dot(name, rate, "before", "" if place else "candidates that pass, by what they were asked to show"))
    return dot_chart(dots, "class screen: real images and candidates")


def draw_spectrum(shortcut: dict[str, Any]) -> Any:
    """Return the mean power of the synthetic images by that of the real ones, from coarse to fine; 1 is right."""
    ratios = shortcut["artefacts"]["spectrum_ratio"]
    ends = {0: "coarse", len(ratios) - 1: "fine"}
    columns = [(ends.get(band, ""), (round(ratio, 2),)) for band, ratio in enumerate(ratios)]
    return column_chart(columns, (("power", "synthetic"),), "power spectrum of synthetic images as a multiple of that of real ones")


def draw_shortcut(shortcut: dict[str, Any]) -> Any:
    """Return how well the probe and each artefact tell synthetic from real, 0.5 by chance; the probe's tick is what it tells between real patients.

    The probe is left out where there are too few images for it.
    """
    found = {"probe": shortcut["probe"], **shortcut["artefacts"]["aucs"]}
    chance = shortcut["chance"]["value"] if shortcut["chance"] else 0.5
    dots = [
        Dot(IN_WORDS[name], "now", area["value"], area["low"], area["high"], note=f"{area['value']:.2f}", chance=chance if name == "probe" else 0.5)
        for name in ARTEFACTS
        if (area := found.get(name))
    ]
    return dot_chart(dots, "area under the curve, real against synthetic images of one class")


def list_swaps(shortcuts: list[tuple[str, dict[str, Any]]]) -> pl.DataFrame:
    """Return one row a class: how many real images of other classes a classifier calls by it, before and after they got the source."""
    rows = [
        {"task": task, "class": swap["label"]}
        | dict(zip(SWAPS, (swap["called_plain"], swap["called_swapped"], swap["effect"], swap["low"], swap["high"]), strict=True))
        for task, shortcut in shortcuts
        if (swap := shortcut["swap"])
    ]
    return pl.DataFrame(rows, schema={"task": pl.String, "class": pl.String, **dict.fromkeys(SWAPS, pl.Float64)})
