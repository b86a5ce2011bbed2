"""The real-data benchmark on a small planted folder: real encoder, real generator, real court, a few steps of each."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.lift.__main__ import main
from benchmarks.lift.cuts import make_cut, make_cuts, split_common
from benchmarks.lift.pictures import Pictures, read_pictures
from benchmarks.lift.study import Study
from curation.errors import UsageError


def a_folder(tmp_path: Path, groups: dict[str, int], size_px: int = 16) -> tuple[Path, Path]:
    """Write one image of each group, brighter by class, and a table; return both paths."""
    random, rows = np.random.default_rng(0), []
    (tmp_path / "images" / "deeper").mkdir(parents=True)
    for place, (label, number) in enumerate(groups.items()):
        for member in range(number):
            image = np.clip(60 + 50 * place + random.normal(0, 20, (size_px, size_px)), 0, 255).astype(np.uint8)
            name = f"{label}{member:03d}"
            cv2.imwrite(str(tmp_path / "images" / "deeper" / f"{name}.png"), image)
            rows.append({"image_id": name, "dx": label, "patient_id": f"p-{name}", "sex": "FM"[member % 2]})
    table = tmp_path / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path / "images", table


def a_study(tmp_path: Path, groups: dict[str, int] | None = None, **changes: object) -> Study:
    """Return a study of a small folder."""
    images, table = a_folder(tmp_path, groups or {"nv": 30, "mel": 25, "df": 20})
    asked = {"label": ("dx",), "rare": ("df",), "lesions": (4, 8), "val_groups": 4, "draws": 2, "full_px": 16, "most_images": 0} | changes
    (tmp_path / "work").mkdir()
    return Study(images=images, table=table, work=tmp_path / "work", **asked)  # type: ignore[arg-type]


def sides(pictures: Pictures, split: np.ndarray, label: str) -> dict[str, set[str]]:
    """Return the groups of a class on each side."""
    return {side: set(pictures.groups[(pictures.labels == label) & (split == side)].tolist()) for side in ("train", "val", "test")}


def test_a_cut_keeps_common_classes_in_place_and_rare_groups_apart(tmp_path: Path) -> None:
    """No group on two sides, val the same for all numbers of lesions of a draw, few lesions a part of many, all others test."""
    study = a_study(tmp_path)
    pictures = read_pictures(study)
    few, more = (make_cut(pictures, split_common(pictures, study.rare), study, lesions, 1) for lesions in (4, 8))
    small, large = sides(pictures, few.split, "df"), sides(pictures, more.split, "df")
    assert (few.split[pictures.labels == "nv"] == more.split[pictures.labels == "nv"]).all()
    assert {side: len(groups) for side, groups in sides(pictures, few.split, "nv").items()} == {"train": 18, "val": 6, "test": 6}
    assert small["val"] == large["val"]
    assert small["train"] < large["train"]
    assert {side: len(groups) for side, groups in large.items()} == {"train": 8, "val": 4, "test": 8}
    assert not large["train"] & large["test"]


def test_draws_differ_and_the_court_sees_a_capped_number_of_common_images(tmp_path: Path) -> None:
    """Two draws hold other rare groups; common images above the cap stay out of the court."""
    study = a_study(tmp_path, most_images=5)
    pictures = read_pictures(study)
    first, second = make_cuts(pictures, study)[:2]
    assert sides(pictures, first.split, "df")["train"] != sides(pictures, second.split, "df")["train"]
    assert int(((pictures.labels == "nv") & (first.split == "train")).sum()) == 5


def test_a_cut_that_leaves_no_test_group_is_refused(tmp_path: Path) -> None:
    """The sentence says how many groups there are."""
    study = a_study(tmp_path, lesions=(16,))
    with pytest.raises(UsageError, match="df has 20 groups: 16 for train and 4 for val leave none"):
        make_cuts(read_pictures(study), study)


def test_the_whole_path_writes_a_table_and_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Train, sample, edit, screen, review, judge; a second run trains and judges nothing again."""
    images, table = a_folder(tmp_path, {"nv": 30, "mel": 25, "df": 20})
    words = f"--images {images} --table {table} --work {tmp_path / 'work'} --label dx --patient patient_id --rare df --lesions 6 --val-groups 5 --draws 1"
    words += " --size-px 16 --full-px 24 --channels 8 16 --base-steps 2 --base-batch 4 --low-shot-steps 2 --low-shot-batch 4 --most-samples 6"
    words += " --common-samples 3 --sampling-steps 2 --augmentations 1 --seeds 1 --resamples 100 --court-steps 20 --planted 3 --edit-mask whole --subgroups sex"
    assert main(words.split()) == 0, capsys.readouterr().err
    rows = json.loads((tmp_path / "work" / "table.json").read_text())
    assert {(row["arm"], row["label"]) for row in rows} >= {("free", "df"), ("edits", "df")}
    assert all(row["verdict"] in ("accept", "reject", "inconclusive") and row["reason"] for row in rows)
    assert (tmp_path / "work" / "curve.png").read_bytes()[:4] == b"\x89PNG"
    assert "lift over it" in (tmp_path / "work" / "table.md").read_text()
    written = {path: path.stat().st_mtime_ns for name in ("generators", "made", "court", "screens") for path in (tmp_path / "work" / name).rglob("*")}
    capsys.readouterr()
    assert main(words.split()) == 0
    assert "training the generator" not in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == before for path, before in written.items() if path.is_file())


def test_a_work_folder_of_other_arguments_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Results of two studies are never mixed."""
    images, table = a_folder(tmp_path, {"nv": 3, "df": 2})
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "study.json").write_text(json.dumps({"strength": 0.9}))
    assert main(f"--images {images} --table {table} --work {tmp_path / 'work'} --rare df".split()) == 2
    assert "another strength" in capsys.readouterr().err
