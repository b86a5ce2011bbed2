"""`curaloop harmonize` on a small project with two sites whose cameras differ."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from adaptation.finetune import read_metrics
from adaptation.site_proof import HARMONIZED, PLAIN
from curation.errors import RecipeError, UsageError
from curation.pixels import encode_png
from flows import stages
from flows.harmonization import read_proof, run_harmonize_fit, run_harmonize_report
from flows.init_project import init_project
from flows.report.write_report import write_report
from flows.settings import read_settings
from flows.stages import Work, open_work
from tests.builders import LABELS, an_id, pixels_of

CURALOOP = Path(sys.executable).parent / "curaloop"
SETTINGS = '[run]\nexecutor = "serial"\nthreads = 1\n\n[finetune]\nbootstrap = 100\nleast_train_images = 3\n\n[harmonize.colour]\nsize_px = 32\n'


def a_site(folder: Path, name: str, lamp: tuple[float, float, float], patients: int) -> str:
    """Write images of one site under a lamp of its own colour, with their table; return the recipe's source."""
    (folder / name).mkdir(parents=True)
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "dx", "patient"))
        for patient in range(patients):
            image, label = f"{name}-{patient:03}", LABELS[patient % 2]
            pixels = np.clip(pixels_of(an_id(image), label) * np.array(lamp), 0, 255).astype(np.uint8)
            (folder / name / f"{image}.png").write_bytes(encode_png(pixels))
            writer.writerow((image, label, f"{name} {patient}"))
    described = f'[[source]]\nname = "{name}"\nkind = "raster"\nmodality = "XC"\nsite = "{name}"\npath = "{folder / name}"\n'
    return described + f'table = "{folder / name}.csv"\nkey = "image"\nlabel = "dx"\npatient = "patient"\n\n'


def a_two_site_project(tmp_path: Path, options: str = "", patients: int = 24) -> Work:
    """Return an ingested and curated project of two sites; the southern lamp is yellow."""
    folder = tmp_path / "images"
    sources = a_site(folder, "north", (1.0, 1.0, 1.0), patients) + a_site(folder, "south", (1.3, 1.1, 0.6), patients)
    root = init_project(tmp_path / "project").root
    (root / "curaloop.toml").write_text('[dataset]\nname = "Two sites"\n\n' + sources + SETTINGS + options)
    work = open_work(root)
    stages.run_ingest(work)
    stages.run_curate(work)
    return work


def test_the_lamp_of_a_site_is_told_and_taken_away(tmp_path: Path) -> None:
    """Colour constancy and ComBat both act; the report says by how much, on the page too; and nothing is read twice."""
    work = a_two_site_project(tmp_path, 'constancy = "shades_of_gray"\n', patients=40)
    report = run_harmonize_report(work, None)
    (proof,) = report.tasks
    sites = {effect.variant: effect.auroc[0] for effect in proof.effects if effect.target == "site"}
    assert list(sites) == [PLAIN, HARMONIZED, f"{HARMONIZED} + ComBat"]
    assert sites[PLAIN] is not None
    assert sites[PLAIN] > 0.95
    assert sites[f"{HARMONIZED} + ComBat"] < sites[PLAIN]
    assert {effect.target for effect in proof.effects} == {"site", "label", "label within sites"}
    assert (report.version, proof.sites) == ("working", {"north": 40, "south": 40})
    again = run_harmonize_report(work, None)
    assert again.tasks == report.tasks
    stages.run_release(work)
    of_version = run_harmonize_report(work, None, with_plain=False)
    assert of_version.version == "data-v1"
    assert read_proof(work.project, "data-v1")["tasks"][0]["effects"]
    page = write_report(work.project).read_text()
    assert 'id="table-harmonization"' in page
    assert of_version.tasks[0].verdicts[0].split(";")[0] in page.replace("&#39;", "'")


def test_combat_is_an_option_of_the_fine_tuning(tmp_path: Path) -> None:
    """Off, nothing changes and the folder is that of before; on, the parameters lie beside the model and the notes say what was done."""
    work = a_two_site_project(tmp_path)
    stages.run_release(work)
    plain = stages.run_finetune(work)
    assert not list(Path(plain.folder).glob("combat-*"))
    on = work.settings.finetune.model_copy(update={"combat": "site"})
    corrected = stages.run_finetune(Work(work.project, work.settings.model_copy(update={"finetune": on})))
    assert corrected.folder != plain.folder
    assert (Path(corrected.folder) / "combat-colour-2d.safetensors").is_file()
    metrics = read_metrics(Path(corrected.folder))
    assert "ComBat took the part of 2 values of 'site'" in " ".join(metrics["tasks"]["colour-2d"]["notes"])
    assert metrics["harmonization"]["tasks"][0]["effects"]
    assert 'id="table-harmonization"' in write_report(work.project).read_text()


def test_a_fitted_reference_is_applied_by_naming_its_file(tmp_path: Path) -> None:
    """Fitted on train, written into records/, named in the recipe; a file that is not there is named with its line."""
    work = a_two_site_project(tmp_path)
    fitted = run_harmonize_fit(work)
    assert fitted.fitted["stain_reinhard"] == "records/stain_reinhard.json"
    content = json.loads((work.project.records / "stain_reinhard.json").read_text())
    assert content["train_images"] < 48
    recipe = work.project.recipe_path
    text = recipe.read_text()
    recipe.write_text(text + 'stain = "reinhard"\nstain_reference = "records/stain_reinhard.json"\n')
    settings = read_settings(recipe)
    assert settings.harmonize.colour.stain_reference == tuple(content["values"])
    report = stages.run_ingest(open_work(work.project.root))
    assert report.reused_files == 0
    assert run_harmonize_fit(open_work(work.project.root)).fitted == fitted.fitted
    assert json.loads((work.project.records / "stain_reinhard.json").read_text()) == content
    recipe.write_text(text + 'stain = "reinhard"\nstain_reference = "records/gone.json"\n')
    with pytest.raises(RecipeError, match=r"curaloop\.toml:\d+: harmonize\.colour\.stain_reference: .*cannot be read"):
        read_settings(recipe)


def test_wrong_use_is_told(tmp_path: Path) -> None:
    """Neither option, an unknown column, nothing curated yet."""
    root = init_project(tmp_path / "empty").root
    done = subprocess.run([CURALOOP, "-C", root, "harmonize"], capture_output=True, text=True, check=False)
    assert (done.returncode, "say --report" in done.stderr) == (2, True)
    work = open_work(root)
    with pytest.raises(UsageError, match="choose one of"):
        run_harmonize_report(work, None, "weather")
    with pytest.raises(UsageError, match="ingest"):
        run_harmonize_report(work, None)


def test_the_command_prints_one_json_document(tmp_path: Path) -> None:
    """Also with one site, where nothing can be measured: it says so and ends well."""
    work = a_two_site_project(tmp_path)
    done = subprocess.run(
        [CURALOOP, "-C", work.project.root, "harmonize", "--report", "--by", "manufacturer", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (task,) = json.loads(done.stdout)["tasks"]
    assert "nothing to compare" in task["warnings"][0]
