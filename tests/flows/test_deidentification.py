"""Where `curaloop deidentify` takes its options from, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.deidentify.files import Refusal
from curation.deidentify.folders import DeidentifyReport
from curation.errors import RecipeError
from flows.deidentification import MAX_SHOWN, options_of, show_deidentify

RECIPE = '[dataset]\nname = "x"\n\n[deidentify]\nretain_device_identity = true\nclean_descriptors = false\n\n[run]\nexecutor = "processes:3"\n'


def test_what_is_given_wins_over_the_recipe_and_the_recipe_over_the_defaults(tmp_path: Path) -> None:
    """Also from a folder inside the project."""
    (tmp_path / "curaloop.toml").write_text(RECIPE)
    (tmp_path / "inside").mkdir()
    settings, executor = options_of(tmp_path / "inside", {"clean_descriptors": True}, None)
    assert (settings.retain_device_identity, settings.clean_descriptors, settings.retain_safe_private, executor) == (True, True, False, "processes:3")


@pytest.mark.parametrize(("workers", "executor"), [(1, "serial"), (4, "processes:4")])
def test_workers_are_processes(tmp_path: Path, workers: int, executor: str) -> None:
    """One worker is this process; no project is needed."""
    assert options_of(tmp_path, {}, workers)[1] == executor


def test_a_wrong_recipe_around_the_folder_is_not_passed_over(tmp_path: Path) -> None:
    """Else options that somebody relies on would silently be the defaults."""
    (tmp_path / "curaloop.toml").write_text(RECIPE.replace("retain_device_identity", "retain_everything"))
    with pytest.raises(RecipeError, match="retain_everything"):
        options_of(tmp_path, {}, None)


def test_a_long_list_of_refusals_is_cut_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """All are in the count by code."""
    refused = tuple(Refusal(f"{number:016x}", "TRUNCATED", "the file ends early") for number in range(MAX_SHOWN + 5))
    show_deidentify(DeidentifyReport(MAX_SHOWN + 5, 0, 0, 0, refused, {"TRUNCATED": MAX_SHOWN + 5}), Path("out"))
    said = capsys.readouterr().out
    assert f"{MAX_SHOWN + 5} refused" in " ".join(said.split())
    assert "5 more were refused" in said
