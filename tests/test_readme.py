"""What the README says can be done, done."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docs.generate import pages
from tests.builders import a_key

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent


def commands(heading: str) -> list[str]:
    """Return the commands of the console block below a heading."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    block = re.search(r"```console\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [line.removeprefix("$ ").split("#")[0].strip() for line in block[1].splitlines()]


def execute(command: str, folder: Path, environment: dict[str, str]) -> None:
    """Run one command of the README in a folder; it must succeed."""
    words = shlex.split(command)
    program = str(BIN / Path(words[0]).name)
    done = subprocess.run([program, *words[1:]], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment with the tests' key, which `curaloop init` keeps."""
    return {**os.environ, "CURALOOP_KEY_FILE": str(a_key(tmp_path / "key")), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def make_images(folder: Path) -> None:
    """Write pictures and a table as the README's source expects them."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    lines = ["lesion_id,image_id,dx,age,sex,localization"]
    for number in range(24):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / "images" / f"I{number}.jpg")
        lines.append(f"L{number // 2},I{number},{'nv' if number % 3 else 'mel'},{30 + number},{'male' if number % 2 else 'female'},back")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")


def test_the_two_commands_exist() -> None:
    """`make demo` and `make test` are targets that make knows how to reach."""
    for command in commands("Two commands"):
        assert subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, check=False).returncode == 0


@pytest.mark.service
@pytest.mark.timeout(600)
def test_your_own_images(tmp_path: Path, environment: dict[str, str]) -> None:
    """The commands of "Your own images" with the README's own source, one after the other; then down."""
    init, enter, *rest = commands("Your own images")
    make_images(tmp_path / "ham10000")
    execute(init, tmp_path, environment)
    project = tmp_path / enter.removeprefix("cd ")
    example = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert example is not None
    with (project / "curaloop.toml").open("a") as recipe:
        recipe.write("\n" + example[1].replace("/data/ham10000", str(tmp_path / "ham10000")))
    try:
        for command in rest:
            execute(command, project, environment)
    finally:
        execute("curaloop down", project, environment)
    assert (project / "data" / "release.json").is_file()


@pytest.mark.timeout(600)
def test_this_repository_is_a_project(tmp_path: Path, environment: dict[str, str]) -> None:
    """A fresh clone pulls, verifies and fine-tunes, also when its host did not hand out the tags."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--no-tags", str(ROOT), str(clone)], check=True, capture_output=True)
    for command in commands("This repository is a dataset project too"):
        execute(command, clone, environment)
    assert list((clone / "workspace" / "models").glob("data-v*/metrics.json"))


def test_every_command_is_documented() -> None:
    """The README's table names every command that `curaloop --help` shows, and no other."""
    shown = subprocess.run([str(BIN / "curaloop"), "--help"], capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "120"}).stdout
    known = set(re.findall(r"^│ ([a-z]+) {2,}", shown, re.MULTILINE))
    table = README.split("| command | does |")[1].split("\n\n")[0]
    named = {word.split()[0] for cell in re.findall(r"^\| (.*?) \|", table, re.MULTILINE) for word in re.findall(r"`(?:curaloop )?([^`]+)`", cell)}
    assert known - {"demo"} <= named
    assert named <= known | {"pull", "status"}


def test_generated_pages_are_up_to_date() -> None:
    """`make docs` would change nothing."""
    for name, text in pages().items():
        assert (ROOT / "docs" / name).read_text() == text


def test_the_repositorys_recipe_is_the_demos() -> None:
    """The recipe at the top level is the demo's, with the cohort where the demo puts it."""
    from flows.demo.run_demo import render_recipe
    from flows.demo.sample import COHORT, REMOTE

    text = (ROOT / "curaloop.toml").read_text()
    assert text == render_recipe(COHORT, REMOTE, installed=False)
    assert len(tomllib.loads(text)["source"]) == 4


def test_the_sample_release_is_small_and_simulated() -> None:
    """At most 5 MB, simulated sources only."""
    size = sum(path.stat().st_size for path in (ROOT / "sample-remote").rglob("*") if path.is_file())
    assert 0 < size <= 5_000_000
