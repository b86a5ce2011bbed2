"""A source that suddenly gives nothing: a disk that is not mounted must not look like images that were withdrawn."""

from __future__ import annotations

import polars as pl

from curation.errors import UsageError
from curation.expanding import STATES, TRANSIENT
from curation.intake import images_held
from curation.matching import FILE
from curation.plan import Reader
from curation.sources.archives import MARK


def refuse_vanished(readers: tuple[Reader, ...], before: pl.DataFrame, was: pl.DataFrame, now: pl.DataFrame) -> None:
    """Refuse a run after which a source would hold no image because all files that gave its images are gone or hidden.

    A source that is taken out of the recipe is not asked: that is how its images leave on purpose.

    Args:
        readers: the sources of the recipe.
        before: the working manifest.
        was: the intake table of the last run; without rows when the workspace was deleted.
        now: that of this run; nothing of it was written yet.

    Raises:
        UsageError: names the source and both ways to go on.
    """
    acquired = before.filter(pl.col("origin") == "acquired")
    for reader in readers:
        name = reader.source.name
        mine = pl.col("source") == name
        holding, there = images_held(was.filter(mine)), now.filter(mine)
        images = max(acquired.filter(mine).height, holding["image_id"].n_unique())
        if hidden := _hidden_files(holding, there):
            raise UsageError(
                f"source {name!r}: path: a folder or archive below it may not be read, and {hidden} files in it gave images before. Nothing was changed. "
                "Make it readable, or delete it if its images should leave"
            )
        if images and images_held(there).is_empty() and _is_gone(holding, there):
            raise UsageError(
                f"source {name!r}: path: {images} images came from it, and now none of their files is there. Is the disk mounted? Nothing was changed. "
                "If they should leave the dataset, take this [[source]] out of the recipe and run again"
            )


def _hidden_files(holding: pl.DataFrame, there: pl.DataFrame) -> int:
    """Return how many files that gave images lie in folders that may not be read now."""
    is_closed = pl.col("code").is_in(["UNREADABLE", *(STATES[state][1] for state in TRANSIENT)])
    closed = there.filter(is_closed & (pl.col("unit") == pl.col("path")) & pl.col("sha256").is_null())["path"].to_list()
    gone = holding.select(*FILE).unique().join(there, on=FILE, how="anti")
    return gone.filter(
        pl.any_horizontal(
            pl.lit(False), *(pl.lit(path == ".") | pl.col("path").str.starts_with(f"{path}/") | pl.col("path").str.starts_with(path + MARK) for path in closed)
        )
    ).height


def _is_gone(holding: pl.DataFrame, there: pl.DataFrame) -> bool:
    """Say whether no file that gave an image is found any more; when nobody knows which ones did, whether nothing that could be one is found."""
    if holding.is_empty():
        return there.filter((pl.col("outcome") != "skipped") & (pl.col("code") != "UNREADABLE")).is_empty()
    return holding.join(there, on=FILE, how="semi").is_empty()
