"""The recipe: what is read, what is refused, and on which line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from curation.errors import RecipeError, SourceError
from flows.settings import locate, read_settings
from flows.stages import recipe_sha256

GOOD = """\
[dataset]
name = "lesions"

[[source]]
name = "clinic"
kind = "raster"
path = "images"
modality = "XC"
table = "table.csv"
key = "image"
label = "dx"

[split]
train = 0.6
val = 0.2
test = 0.2

[synthesis.generator]
steps = 10
"""


def a_recipe(tmp_path: Path, text: str = GOOD) -> Path:
    """Write a recipe and return its path."""
    path = tmp_path / "curaloop.toml"
    path.write_text(text)
    return path


def refusal(tmp_path: Path, old: str, new: str) -> RecipeError:
    """Return the error that the good recipe gives after one replacement."""
    assert old in GOOD
    with pytest.raises(RecipeError) as caught:
        read_settings(a_recipe(tmp_path, GOOD.replace(old, new)))
    return caught.value


def line_of(text: str, recipe: str) -> int:
    """Return the line (from 1) that holds `text`."""
    return next(number for number, line in enumerate(recipe.splitlines(), start=1) if text in line)


def test_paths_are_relative_to_the_recipe(tmp_path: Path) -> None:
    """A recipe works from any folder."""
    settings = read_settings(a_recipe(tmp_path))
    assert settings.source[0].path == tmp_path / "images"
    assert settings.source[0].table == tmp_path / "table.csv"


@pytest.mark.parametrize(
    ("old", "new", "key", "marked"),
    [
        ('name = "lesions"', 'name = "lesions"\ncolour = "red"', "dataset.colour", 'colour = "red"'),
        ('kind = "raster"', 'kind = "jpeg"', "source.0.kind", 'kind = "jpeg"'),
        ("steps = 10", "steps = 0", "synthesis.generator.steps", "steps = 0"),
        ("steps = 10", 'conditions = ["sex", "sex"]', "synthesis.generator.conditions", 'conditions = ["sex", "sex"]'),
        ("steps = 10", 'conditions = ["label"]', "synthesis.generator.conditions", 'conditions = ["label"]'),
        ("steps = 10", "stepz = 10", "synthesis.generator.stepz", "stepz = 10"),
        ("train = 0.6", 'train = "most"', "split.train", 'train = "most"'),
        ("train = 0.6", "train = 0.7", "split", "[split]"),
        ("[split]", "[spilt]", "spilt", "[spilt]"),
        ('modality = "XC"\n', "", "source.0", "[[source]]"),
    ],
)
def test_a_wrong_key_is_named_with_its_line(tmp_path: Path, old: str, new: str, key: str, marked: str) -> None:
    """The message says where to look."""
    error = refusal(tmp_path, old, new)
    assert error.key == key
    assert error.line == line_of(marked, GOOD.replace(old, new))
    assert str(error).startswith(f"{tmp_path / 'curaloop.toml'}:{error.line}: {key}: ")
    assert error.exit_code == 2


def test_the_line_is_that_of_the_right_source(tmp_path: Path) -> None:
    """The second source's mistake is not blamed on the first."""
    second = '\n[[source]]\nname = "other"\nkind = "dicom"\npath = "series"\nkid = "x"\n'
    with pytest.raises(RecipeError) as caught:
        read_settings(a_recipe(tmp_path, GOOD + second))
    assert caught.value.key == "source.1.kid"
    assert caught.value.line == line_of('kid = "x"', GOOD + second)


def test_two_sources_with_one_name_are_refused(tmp_path: Path) -> None:
    """Rows are known by their source's name."""
    second = '\n[[source]]\nname = "clinic"\nkind = "dicom"\npath = "series"\n'
    with pytest.raises(RecipeError, match="two sources are called 'clinic'") as caught:
        read_settings(a_recipe(tmp_path, GOOD + second))
    assert caught.value.line == len(GOOD.splitlines()) + 3


def test_bad_syntax_is_named_with_its_line(tmp_path: Path) -> None:
    """TOML's own message keeps its line."""
    with pytest.raises(RecipeError) as caught:
        read_settings(a_recipe(tmp_path, GOOD.replace("steps = 10", "steps = = 10")))
    assert caught.value.line == line_of("steps", GOOD)


def test_a_missing_recipe_is_a_recipe_error(tmp_path: Path) -> None:
    """No traceback for a file that is not there."""
    with pytest.raises(RecipeError, match="No such file"):
        read_settings(tmp_path / "curaloop.toml")


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`CURALOOP_REVIEW__BUDGET` sets `review.budget` for one run."""
    monkeypatch.setenv("CURALOOP_REVIEW__BUDGET", "7")
    assert read_settings(a_recipe(tmp_path)).review.budget == 7


def test_the_recipe_hash_ignores_where_things_lie_and_run(tmp_path: Path) -> None:
    """Moving the sources, or running on a cluster, is the same recipe; another image size is not."""
    first = recipe_sha256(read_settings(a_recipe(tmp_path)))
    moved = GOOD.replace('path = "images"', 'path = "/elsewhere"') + '\n[run]\nexecutor = "serial"\n\n[release]\nremote = "s3://bucket"\n'
    assert recipe_sha256(read_settings(a_recipe(tmp_path, moved))) == first
    larger = GOOD + "\n[harmonize.colour]\nsize_px = 64\n"
    assert recipe_sha256(read_settings(a_recipe(tmp_path, larger))) != first


def test_a_wrong_source_is_named_with_its_line(tmp_path: Path) -> None:
    """What only the source's own folder and table can tell still points at the line of the recipe."""
    path = tmp_path / "curaloop.toml"
    path.write_text(
        '[dataset]\nname = "x"\n\n[[source]]\nname = "a"\nkind = "dicom"\npath = "there"\n\n[[source]]\nname = "b"\nkind = "dicom"\npath = "gone"\n'
    )
    error = locate(SourceError("b", "path", "there is no such folder"), path, read_settings(path))
    assert str(error) == f"{path}:12: source 'b': path: there is no such folder"
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('kind = "dicomweb"', "needs `url`"),
        ('kind = "dicomweb"\nurl = "https://somebody:secret@pacs.example.org/dicom-web"', "must not hold a login"),
        ('kind = "dicomweb"\nurl = "https://pacs.example.org"\npath = "x"', "has no `path`"),
        ('kind = "dicomweb"\nurl = "https://pacs.example.org"\nfrom = 2024-02-01\nto = 2024-01-01', "`from` is after `to`"),
        ('kind = "dicomweb"\nurl = "https://pacs.example.org"\nuser_env = "A"', "a login is"),
        ('kind = "dicom"\npath = "x"\nfrom = 2024-02-01', "`from` is for dicomweb sources only"),
        ('kind = "dicom"', "needs `path`"),
    ],
)
def test_what_a_pacs_needs_is_said(tmp_path: Path, keys: str, said: str) -> None:
    """And no login is ever repeated in a message."""
    recipe = tmp_path / "curaloop.toml"
    recipe.write_text(f'[dataset]\nname = "x"\n\n[[source]]\nname = "pacs"\n{keys}\n')
    with pytest.raises(RecipeError, match=re.escape(said)) as failure:
        read_settings(recipe)
    assert "secret" not in str(failure.value)
    assert failure.value.line == 4


def test_a_recipe_without_the_new_keys_has_the_same_hash(tmp_path: Path) -> None:
    """Where a PACS lies and who logs in is no part of it, what is asked for is."""
    recipe = tmp_path / "curaloop.toml"

    def hash_of(keys: str) -> str:
        recipe.write_text(f'[dataset]\nname = "x"\n\n[[source]]\nname = "pacs"\n{keys}\n')
        return recipe_sha256(read_settings(recipe))

    pacs = 'kind = "dicomweb"\nurl = "https://{}.example.org"'
    assert hash_of(pacs.format("a")) == hash_of(pacs.format("b") + '\ntoken_env = "T"') != hash_of(pacs.format("a") + '\nmodality = "CT"')
    dumped = read_settings(recipe).model_dump(mode="json")["source"][0]
    assert not {"from_date", "to_date", "description", "user_env"} & set(dumped)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[split]", "[splits]", "splits: no such key, did you mean 'split'?"),
        ("steps = 10", "step = 10", "synthesis.generator.step: no such key, did you mean 'steps'?"),
        ('label = "dx"', 'labels = "dx"', "source.0.labels: no such key, did you mean 'label'?"),
        ("steps = 10", "wavelets = 10", "synthesis.generator.wavelets: no such key"),
        ('modality = "XC"', 'modality = "XRAY"', "'XRAY' is no DICOM code that is read (X-ray: CR or DX, photograph: XC)"),
    ],
)
def test_what_is_nearly_right_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    """A misspelt key gets the key that was meant, and a word that is no modality the codes."""
    assert old in GOOD
    with pytest.raises(RecipeError) as caught:
        read_settings(a_recipe(tmp_path, GOOD.replace(old, new)))
    assert said in str(caught.value)
    assert ("did you mean" in str(caught.value)) == ("did you mean" in said)


def test_a_variable_of_no_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would change nothing and say nothing; variables that are no keys of the recipe are left alone."""
    monkeypatch.setenv("CURALOOP_KEY_FILE", str(tmp_path / "key"))
    assert read_settings(a_recipe(tmp_path)).review.budget == 100
    monkeypatch.setenv("CURALOOP_REVEW__BUDGET", "20")
    with pytest.raises(RecipeError, match="the recipe has no table 'revew', did you mean 'review'"):
        read_settings(a_recipe(tmp_path))
