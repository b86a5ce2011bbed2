"""What experts said of each generator: does the share of rejections fall from version to version, and what for?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from synthesis.screens.rates import rate


class ExpertVerdict(NamedTuple):
    """What the readers together said of one synthetic image; `reasons` only when they rejected it; `reviewed_at` in ISO 8601."""

    image_id: str
    rejected: bool
    reasons: tuple[str, ...]
    reviewed_at: str


@dataclass(frozen=True)
class GeneratorVerdicts:
    """The verdicts on one generator's images.

    Attributes:
        generator: first twelve characters of its hash.
        judged: images with a verdict.
        rejected: of these.
        share: rejected of judged, with its 95 % interval (Wilson 1927).
        reasons: rejected images by reason; an image may have several.
        audited: images that the reward model would have hidden; experts saw them all the same.
        audited_rejected: of these. Where it is far below the model's promise, the model hides good images.
    """

    generator: str
    judged: int
    rejected: int
    share: float
    share_low: float
    share_high: float
    reasons: dict[str, int] = field(default_factory=dict)
    audited: int = 0
    audited_rejected: int = 0


def trend_of_verdicts(rows: pl.DataFrame, verdicts: Sequence[ExpertVerdict]) -> tuple[GeneratorVerdicts, ...]:
    """Return the verdicts by generator, in the order in which experts first saw them.

    Args:
        rows: synthetic rows; others are left out.
        verdicts: at most one an image.
    """
    known = {row[0]: row[1:] for row in rows.filter(pl.col("origin") == "synthetic").select("image_id", "generator_sha256", "screens").iter_rows()}
    by_generator: dict[str, list[tuple[ExpertVerdict, bool]]] = {}
    for one in sorted(verdicts, key=lambda one: (one.reviewed_at, one.image_id)):
        if one.image_id in known:
            generator, screens = known[one.image_id]
            by_generator.setdefault(generator or "unknown", []).append((one, _is_audit(screens)))
    return tuple(_count(generator, said) for generator, said in by_generator.items())


def _is_audit(screens: str | None) -> bool:
    """Say whether the reward model would have hidden the image."""
    found = json.loads(screens) if screens else {}
    return bool(found.get("reward", {}).get("audit", False))


def _count(generator: str, said: list[tuple[ExpertVerdict, bool]]) -> GeneratorVerdicts:
    """Return the counts of one generator."""
    rejected = [one for one, _ in said if one.rejected]
    share = rate(one.rejected for one, _ in said)
    assert share is not None  # a generator is listed when something was said of it
    audited = [one.rejected for one, is_audit in said if is_audit]
    return GeneratorVerdicts(
        generator=generator[:12],
        judged=len(said),
        rejected=len(rejected),
        share=share.share,
        share_low=share.low,
        share_high=share.high,
        reasons=dict(sorted(Counter(reason for one in rejected for reason in one.reasons).items())),
        audited=len(audited),
        audited_rejected=sum(audited),
    )
