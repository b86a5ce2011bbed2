"""Builders for tests of the release: which images, and how the project was before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from curation.git import run_git
from curation.manifest import read_manifest
from curation.project import Project
from curation.versions import list_versions
from validation.verify import tree_md5

ACQUIRED = pl.col("origin") == "acquired"


def ids(project: Project, where: pl.Expr) -> list[str]:
    """Return the image_ids of some rows of the working manifest."""
    return read_manifest(project.manifest).filter(where)["image_id"].to_list()


Plant = Callable[[Project], None]


def state(project: Project) -> tuple[Any, ...]:
    """Return everything that a refused release must leave as it is."""
    data = tree_md5(project.data) if project.data.exists() else ""
    return data, run_git(project.root, "rev-parse", "HEAD"), list_versions(project), run_git(project.root, "status", "--porcelain"), project.ledger.read_bytes()
