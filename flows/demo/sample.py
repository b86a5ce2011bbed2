"""`make sample`: the small release that the repository itself carries, made from simulated images by the same stages as any other.

The repository is a dataset project: `curaloop.toml`, `data.dvc`, `records/`, and a DVC remote inside it, so that a fresh clone can pull, verify and
fine-tune at once. The cohort is made in a temporary folder and goes away.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from curation.project import RECIPE_NAME, Project
from flows.demo.cohort import SMALL, make_cohort
from flows.demo.run_demo import render_recipe
from flows.settings import read_settings
from flows.stages import Work, run_curate, run_ingest, run_release

REMOTE = "sample-remote"
COHORT = "demo-project/cohort"


def make_sample(root: Path) -> str | None:
    """Make the next sample release in the repository at `root`; return its name, or None when nothing changed."""
    from curation.versions import init_dvc

    project = Project(root)
    project.recipe_path.write_text(render_recipe(COHORT, REMOTE, installed=False))
    if not (root / ".dvc").exists():
        init_dvc(root, REMOTE)
    with tempfile.TemporaryDirectory() as temporary:
        cohort = Path(temporary) / "cohort"
        make_cohort(cohort, seed=1, size=SMALL)
        recipe = Path(temporary) / RECIPE_NAME
        recipe.write_text(render_recipe("cohort", REMOTE, installed=False))
        work = Work(project, read_settings(recipe))
        run_ingest(work)
        run_curate(work)
        return run_release(work).version


if __name__ == "__main__":
    import sys

    sys.stdout.write(f"{make_sample(Path(__file__).resolve().parents[2]) or 'nothing changed'}\n")
