"""Builders of whole projects with a source on disk, as the command line meets them."""

from __future__ import annotations

import csv
from pathlib import Path

from curation.pixels import encode_png
from curation.project import Project
from flows.init_project import init_project
from tests.builders import LABELS, an_id, pixels_of


def a_source(folder: Path, patients: int = 24, images_per_patient: int = 2) -> Path:
    """Write PNG images with a table: one class a patient, `image`, `dx`, `patient` columns; return the table's path."""
    (folder / "images").mkdir(parents=True)
    table = folder / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "dx", "patient"))
        for patient in range(patients):
            label = LABELS[patient % len(LABELS)]
            for number in range(images_per_patient):
                image = f"p{patient:03}-{number}"
                (folder / "images" / f"{image}.png").write_bytes(encode_png(pixels_of(an_id(image), label)))
                writer.writerow((image, label, f"patient-{patient}"))
    return table


def a_sourced_project(tmp_path: Path, patients: int = 24) -> Project:
    """Return a project made by `curaloop init` whose recipe names one small source."""
    table = a_source(tmp_path / "source", patients)
    project = Project(init_project(tmp_path / "project").root)
    source = ['[[source]]\nname = "clinic"\nkind = "raster"\nmodality = "XC"', f'path = "{table.parent / "images"}"', f'table = "{table}"']
    fields = 'key = "image"\nlabel = "dx"\npatient = "patient"'
    recipe = '[dataset]\nname = "Test Cohort"\n\n[run]\nexecutor = "serial"\nthreads = 1\n\n[harmonize.colour]\nsize_px = 32\n\n'
    project.recipe_path.write_text(recipe + "\n".join([*source, fields]) + "\n")
    return project
