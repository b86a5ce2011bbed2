"""By what readers could tell candidates from real images without looking at what they show.

All pictures are rendered, named and ordered the same way. What is left is what the generator drew: fewer pixels, which look blurred once they
are enlarged, and squares beside pictures that are not.
"""

from __future__ import annotations

import polars as pl

NEAR = 0.75
"""A side that is shorter than this share of the other is seen."""
SQUARE = 0.98
"""Shorter side as a share of the longer one, from which a picture looks square."""


def find_tells(queue: pl.DataFrame) -> tuple[str, ...]:
    """Return a sentence for each task and each thing that gives the origin of its images away; none when readers are blind.

    Args:
        queue: rows of the manifest that go out, with their `task`. Only tasks with both real and synthetic images can be told apart.
    """
    flat = queue.filter(pl.col("ndim") == 2).with_columns(
        longest=pl.max_horizontal("rows", "columns"), is_square=pl.min_horizontal("rows", "columns") >= SQUARE * pl.max_horizontal("rows", "columns")
    )
    told: list[str] = []
    for (task,), own in flat.sort("task").group_by("task", maintain_order=True):
        made, real = (own.filter((pl.col("origin") == "synthetic") == is_made) for is_made in (True, False))
        if not made.is_empty() and not real.is_empty():
            told += _compare(str(task), made, real)
    return tuple(told)


def _compare(task: str, made: pl.DataFrame, real: pl.DataFrame) -> list[str]:
    found = []
    drawn, stored = (int(part.select(pl.col("longest").median()).item()) for part in (made, real))
    if min(drawn, stored) < NEAR * max(drawn, stored):
        found.append(
            f"{task}: candidates have {drawn} px and real images {stored}, so readers tell them by sharpness: draw at about the size of the real images "
            "(synthesis.generator.size_px), or store these smaller (size_px of [harmonize])"
        )
    square, oblong = (int(part["is_square"].sum()) for part in (made, real))
    if square == made.height and oblong <= real.height / 2:
        found.append(f"{task}: all candidates are square and {real.height - oblong} of {real.height} real images are not, so readers tell them by their shape")
    return found
