"""Ingest of NIfTI: label maps, pairs, b-values and participants come in with their image, and every file is accounted for."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from curation.ingest import IngestReport, ingest
from curation.intake import read_intake
from curation.manifest import read_manifest
from curation.pixels import decode, hash_pixels
from curation.project import Project
from curation.recipe import HarmonizeSettings, SourceSettings
from curation.shards import Place, ShardReader
from tests.curation.ingest_builders import KEY, Here
from tests.curation_builders import a_nifti, a_raster, a_volume

REAL = Path(__file__).parents[3] / "shared" / "data"
real_data = pytest.mark.real_data


def run(project: Project, folder: Path, **changes: Any) -> IngestReport:
    """Ingest a folder of NIfTI files, and check that the numbers add up."""
    source = SourceSettings(**{"name": "clinic", "kind": "nifti", "path": folder, "modality": "MR", **changes})
    report = ingest(project, (source,), HarmonizeSettings(), KEY, Here())
    assert report.found == report.kept + report.duplicates + report.quarantined + report.skipped
    return report


def outcomes(project: Project) -> dict[str, tuple[str, str]]:
    """Return outcome and code by path."""
    return {row["path"]: (row["outcome"], row["code"]) for row in read_intake(project.intake).iter_rows(named=True)}


def rows_of(project: Project) -> list[dict[str, Any]]:
    """Return the rows of the manifest."""
    return list(read_manifest(project.manifest).iter_rows(named=True))


def label_map_of(project: Project, row: dict[str, Any]) -> npt.NDArray[Any]:
    """Return the stored label map of a row, checked against its hash and the image's shape."""
    with ShardReader(*project.shard_folders()) as shards:
        values = decode(shards.read(Place(row["shard"], row["label_map_offset"], row["label_map_size_bytes"])), ".nii.gz")
    assert hash_pixels(values, row["spacing_mm"]) == row["label_map_sha256"]
    assert values.shape == (row["slices"], row["rows"], row["columns"])
    return values


def write(folder: Path, **files: bytes) -> Path:
    """Write files; `__` in a name is a folder, `-nii` the suffix."""
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def a_mask(**changes: Any) -> bytes:
    """Return a mask of 8 voxels on the grid of `a_nifti()`."""
    values = np.zeros((6, 5, 4), np.uint8)
    values[1:3, 1:3, 1:3] = 1
    return a_nifti(values, **changes)


IMAGE, MASK = "sub-01/anat/sub-01_T1w.nii.gz", "derivatives/labels/sub-01/anat/sub-01_T1w_seg-manual.nii.gz"


def test_a_label_map_lies_beside_its_image(tmp_path: Path) -> None:
    """One row, both files kept, the structure's name from the recipe."""
    folder = write(tmp_path / "in", **{IMAGE: a_nifti(packed=True), MASK: a_mask(packed=True)})
    project = Project(tmp_path / "p")
    report = run(project, folder, structures={"1": "cord"})
    (row,) = rows_of(project)
    assert (report.kept, report.images, row["label_map_values"]) == (2, 1, '{"1": "cord"}')
    assert int(label_map_of(project, row).sum()) == 8
    assert run(project, folder, structures={"1": "cord"}).reused_files == 2
    run(project, folder, structures={"1": "spinal cord"})
    assert rows_of(project)[0]["label_map_values"] == '{"1": "spinal cord"}'


@pytest.mark.parametrize(
    ("mask", "code"),
    [
        (a_nifti(np.zeros((6, 5, 5), np.uint8)), "LABEL_MISMATCH"),
        (a_mask(affine=np.diag([2.0, 2, 3.1, 1])), "LABEL_MISMATCH"),
        (a_mask(scl_slope=0.25), "SLOPE"),
        (a_nifti(np.full((6, 5, 4), 0.5, np.float32)), "LABEL_VALUES"),
        (a_mask(sform_code=0, qform_code=0), "ORIENTATION_UNKNOWN"),
        (a_mask()[:-3], "TRUNCATED"),
        (b"", "EMPTY"),
        (b"not an image at all", "BAD_MAGIC"),
    ],
)
def test_a_bad_label_map_goes_to_quarantine_and_its_image_stays(tmp_path: Path, mask: bytes, code: str) -> None:
    """The image is not punished, the label map is not mended."""
    folder = write(tmp_path / "in", **{IMAGE: a_nifti(), MASK: mask})
    project = Project(tmp_path / "p")
    run(project, folder)
    assert outcomes(project) == {IMAGE: ("kept", ""), MASK: ("quarantined", code)}
    (row,) = rows_of(project)
    assert row["label_map_sha256"] is None


def test_a_label_map_without_image_is_skipped_until_the_image_comes(tmp_path: Path) -> None:
    """And again when it goes, or cannot be used."""
    folder = write(tmp_path / "in", **{MASK: a_mask(), "sub-02_T1w.nii": a_nifti(a_volume() + 1)})
    project = Project(tmp_path / "p")
    run(project, folder)
    assert outcomes(project)[MASK] == ("skipped", "LABEL_MAP")
    write(folder, **{IMAGE: a_nifti()})
    run(project, folder)
    assert (outcomes(project)[MASK], len(rows_of(project))) == (("kept", ""), 2)
    write(folder, **{IMAGE: a_nifti(pixdim=[1, 0, 2, 3, 1, 1, 1, 1])})
    run(project, folder)
    assert outcomes(project)[MASK] == ("skipped", "LABEL_MAP")
    assert outcomes(project)[IMAGE] == ("quarantined", "SPACING")
    write(folder, **{IMAGE: a_nifti()})
    run(project, folder)
    (folder / IMAGE).unlink()
    run(project, folder)
    assert (outcomes(project)[MASK], len(rows_of(project))) == (("skipped", "LABEL_MAP"), 1)


def test_a_label_map_that_comes_changes_or_goes_later_is_followed(tmp_path: Path) -> None:
    """The row changes, the image stays the same."""
    folder = write(tmp_path / "in", **{IMAGE: a_nifti()})
    project = Project(tmp_path / "p")
    run(project, folder)
    (before,) = rows_of(project)
    write(folder, **{MASK: a_mask()})
    run(project, folder)
    (after,) = rows_of(project)
    assert (after["image_id"], after["pixels_sha256"]) == (before["image_id"], before["pixels_sha256"])
    assert label_map_of(project, after).sum() == 8
    write(folder, **{MASK: a_nifti(np.ones((6, 5, 4), np.uint8))})
    run(project, folder)
    assert label_map_of(project, rows_of(project)[0]).sum() == 120
    (folder / MASK).unlink()
    run(project, folder)
    assert rows_of(project)[0]["label_map_sha256"] is None


def test_several_masks_of_one_image_become_one_label_map(tmp_path: Path) -> None:
    """Names after BIDS; where they overlap, a note says so."""
    inner = np.zeros((6, 5, 4), np.uint8)
    inner[1, 1, 1] = 1
    masks = {"sub-01_T1w_label-GM_mask.nii": a_mask(), "sub-01_T1w_label-L_mask.nii": a_nifti(inner)}
    folder = write(tmp_path / "in", **{"sub-01_T1w.nii": a_nifti(), **masks})
    project = Project(tmp_path / "p")
    run(project, folder)
    (row,) = rows_of(project)
    assert json.loads(row["label_map_values"]) == {"1": "gray matter", "2": "lesion"}
    assert np.bincount(label_map_of(project, row).ravel()).tolist() == [112, 7, 1]
    assert row["notes"] == ["LABEL_OVERLAP"]


def test_each_volume_of_a_4_d_file_becomes_an_image(tmp_path: Path) -> None:
    """B-values come from the file beside it, and the label map goes with every volume."""
    voxels = np.random.default_rng(0).integers(0, 1000, (6, 5, 4, 6)).astype(np.int16)
    names = {"sub-01_dwi.nii.gz": a_nifti(voxels, packed=True), "sub-01_dwi.bval": b"0 0 1000 1000 2000 2000\n", "sub-01_dwi_mask.nii.gz": a_mask(packed=True)}
    folder = write(tmp_path / "in", **names)
    project = Project(tmp_path / "p")
    report = run(project, folder)
    rows = rows_of(project)
    assert (report.images, report.kept, report.skipped) == (6, 2, 1)
    assert outcomes(project)["sub-01_dwi.bval"] == ("skipped", "SIDECAR")
    said = sorted((json.loads(row["attributes"])["volume_index"], json.loads(row["attributes"])["b_value"]) for row in rows)
    assert said == [(0, 0.0), (1, 0.0), (2, 1000.0), (3, 1000.0), (4, 2000.0), (5, 2000.0)]
    assert len({row["patient_id"] for row in rows}) == 1
    assert all(label_map_of(project, row).sum() == 8 for row in rows)
    assert run(project, folder).reused_files == 3
    write(folder, **{"sub-01_dwi.bval": b"0 0\n"})
    run(project, folder)
    assert outcomes(project)["sub-01_dwi.bval"] == ("quarantined", "B_VALUES")
    assert {"b_value" in json.loads(row["attributes"]) for row in rows_of(project)} == {False}


def test_a_volume_that_cannot_be_used_is_noted_on_the_others(tmp_path: Path) -> None:
    """The file is kept for what is good in it."""
    voxels = np.random.default_rng(0).normal(100, 10, (6, 5, 4, 3)).astype(np.float32)
    voxels[0, 0, 0, 1] = np.nan
    project = Project(tmp_path / "p")
    report = run(project, write(tmp_path / "in", **{"a.nii": a_nifti(voxels)}))
    assert (report.kept, report.images) == (1, 2)
    assert [row["notes"] for row in rows_of(project)] == [["PART_REFUSED"]] * 2


def test_a_pair_is_one_image_and_half_a_pair_is_none(tmp_path: Path) -> None:
    """Header and voxels in two files; one without the other is told."""
    whole = a_nifti(magic=b"ni1", vox_offset=0)
    files = {"a.hdr": whole[:348], "a.img": whole[352:], "b.hdr": whole[:348], "c.img": whole[352:], "d.hdr": whole[:344] + b"\0" * 4, "d.img": whole[352:]}
    analyze = bytearray(files["d.hdr"])
    analyze[38:39] = b"r"
    files["d.hdr"] = bytes(analyze)
    project = Project(tmp_path / "p")
    report = run(project, write(tmp_path / "in", **files))
    assert report.images == 1
    found = outcomes(project)
    assert found["a.hdr"] == found["a.img"] == ("kept", "")
    assert found["b.hdr"] == found["c.img"] == ("quarantined", "PAIR")
    assert found["d.hdr"] == found["d.img"] == ("quarantined", "ANALYZE")


def test_a_bids_folder_needs_no_table(tmp_path: Path) -> None:
    """Age, sex and group come from `participants.tsv`; names, birth dates and group columns that look like names do not."""
    people = "participant_id\tage\tsex\tgroup\tname\nsub-01\t95\tF\tpatient\tJane Doe\n02\t40\tm\tcontrol\tJohn Roe\nsub-03\tn/a\tunknown\tn/a\tx\n"
    images = {f"sub-{n:02}/anat/sub-{n:02}_ses-1_T1w.nii": a_nifti(a_volume() + n) for n in (1, 2, 3)}
    folder = write(tmp_path / "in", **images, **{"participants.tsv": people.encode()})
    project = Project(tmp_path / "p")
    run(project, folder)
    said = sorted((row["age_years"] or 0, row["sex"], row["attributes"]) for row in rows_of(project))
    assert said == [
        (0, None, '{"session": "1", "suffix": "T1w"}'),
        (40.0, "M", '{"group": "control", "session": "1", "suffix": "T1w"}'),
        (90.0, "F", '{"group": "patient", "session": "1", "suffix": "T1w"}'),
    ]
    assert "Doe" not in json.dumps(rows_of(project))
    assert run(project, folder).reused_files == 4
    write(folder, **{"participants.tsv": people.replace("40\tm", "41\tm").encode()})
    report = run(project, folder)
    assert report.reused_files == 2
    assert sorted(row["age_years"] or 0 for row in rows_of(project)) == [0, 41.0, 90.0]


def test_the_json_beside_an_image_gives_maker_and_site(tmp_path: Path) -> None:
    """The recipe's site wins; a damaged JSON goes to quarantine without its image; one that belongs to no image is no image."""
    said = b'{"Manufacturer": "GE MEDICAL SYSTEMS", "InstitutionName": "Klinikum Nord", "MagneticFieldStrength": 1.5}'
    folder = write(tmp_path / "in", **{"sub-01_T1w.nii": a_nifti(), "sub-01_T1w.json": said, "dataset_description.json": b"{}"})
    project = Project(tmp_path / "p")
    run(project, folder)
    (row,) = rows_of(project)
    assert (row["manufacturer"], row["attributes"]) == ("GE", '{"magnetic_field_t": 1.5, "suffix": "T1w"}')
    assert row["site"].startswith("site-")
    assert outcomes(project)["sub-01_T1w.json"] == ("skipped", "SIDECAR")
    assert outcomes(project)["dataset_description.json"] == ("skipped", "NOT_AN_IMAGE")
    run(project, folder, site="north")
    assert rows_of(project)[0]["site"] == "north"
    write(folder, **{"sub-01_T1w.json": b'{"a": NaN}'})
    run(project, folder)
    assert outcomes(project)["sub-01_T1w.json"] == ("quarantined", "SIDECAR_DAMAGED")
    assert rows_of(project)[0]["manufacturer"] is None


def test_the_table_of_the_recipe_wins_over_participants(tmp_path: Path) -> None:
    """What it does not say is filled in."""
    files = {"sub-01_T1w.nii": a_nifti(), "participants.tsv": b"participant_id\tage\tsex\nsub-01\t30\tF\n"}
    (tmp_path / "t.csv").write_text("image,years\nsub-01_T1w,33\n")
    project = Project(tmp_path / "p")
    run(project, write(tmp_path / "in", **files), table=tmp_path / "t.csv", key="image", columns={"age_years": "years"})
    (row,) = rows_of(project)
    assert (row["age_years"], row["sex"]) == (33.0, "F")


@pytest.mark.parametrize("group", ["Jane Doe of 12 Long Street in Hannover, phone 0511 123456", "1999-01-02", "4711471147"])
def test_a_group_that_is_no_category_is_left_out(tmp_path: Path, group: str) -> None:
    """The rest of the table is still used."""
    files = {"sub-01_T1w.nii": a_nifti(), "participants.tsv": f"participant_id\tage\tgroup\nsub-01\t30\t{group}\n".encode()}
    project = Project(tmp_path / "p")
    run(project, write(tmp_path / "in", **files))
    (row,) = rows_of(project)
    assert (row["age_years"], row["attributes"]) == (30.0, '{"suffix": "T1w"}')


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0\0", b"who\tage\nsub-01\t3\n", b"participant_id\tage\n", b"participant_id\n" * 3])
def test_a_participants_file_that_is_none_is_no_error(tmp_path: Path, content: bytes) -> None:
    """Nobody asked for it, so images come in without it."""
    project = Project(tmp_path / "p")
    run(project, write(tmp_path / "in", **{"sub-01_T1w.nii": a_nifti(), "participants.tsv": content}))
    assert [row["age_years"] for row in rows_of(project)] == [None]


def test_the_modality_is_the_recipes_or_the_names_never_both_and_different(tmp_path: Path) -> None:
    """A CT among MR is told, and nothing is guessed."""
    files = {"sub-01_T1w.nii": a_nifti(), "sub-01_ct.nii": a_nifti(a_volume() + 1), "x.nii": a_nifti(a_volume() + 2)}
    folder = write(tmp_path / "in", **files)
    project, other = Project(tmp_path / "p"), Project(tmp_path / "q")
    run(project, folder)
    assert outcomes(project) == {"sub-01_T1w.nii": ("kept", ""), "sub-01_ct.nii": ("quarantined", "MODALITY"), "x.nii": ("kept", "")}
    run(other, folder, modality=None)
    assert outcomes(other) == {"sub-01_T1w.nii": ("kept", ""), "sub-01_ct.nii": ("kept", ""), "x.nii": ("quarantined", "MODALITY")}


def test_pages_of_a_tiff_come_in_as_images_of_one_file(tmp_path: Path) -> None:
    """Equal pages are one image; the file is kept once."""
    import io

    from PIL import Image

    pages = [Image.fromarray(np.random.default_rng(seed).integers(0, 255, (32, 32), np.uint8)) for seed in (1, 2, 2)]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    folder = write(tmp_path / "in", **{"a.tif": buffer.getvalue(), "b.png": a_raster(np.asarray(pages[0]))})
    project = Project(tmp_path / "p")
    report = run(project, folder, kind="raster", modality="DX")
    assert (report.kept, report.duplicates, report.images) == (1, 1, 2)
    assert {row["attributes"] for row in rows_of(project)} == {'{"page_index": 0}', '{"page_index": 1}'}


@real_data
def test_real_bids_folders_come_in_with_their_label_map(tmp_path: Path) -> None:
    """Three MR images, and a CT whose spleen is marked: as many cubic millimetres after resampling as before."""
    if not (REAL / "nifti").is_dir():
        pytest.skip("real data is not here")
    project = Project(tmp_path / "p")
    report = run(project, REAL / "nifti", modality=None, structures={"1": "spleen"})
    rows = read_manifest(project.manifest)
    assert (report.quarantined, report.images, report.kept) == (0, 4, 5)
    assert rows["modality"].sort().to_list() == ["CT", "MR", "MR", "MR"]
    assert rows.filter(pl.col("modality") == "MR")["manufacturer"].to_list() == ["Siemens"] * 3
    (ct,) = rows.filter(pl.col("modality") == "CT").iter_rows(named=True)
    import nibabel as nib

    stored: Any = nib.load(REAL / "nifti/ct_scan/derivatives/labels/sub-spleen2/ct/sub-spleen2_ct_seg-manual.nii.gz")  # type: ignore[attr-defined]
    marked_mm3 = float(np.count_nonzero(stored.dataobj) * np.prod(stored.header.get_zooms()))
    label_map = label_map_of(project, ct)
    assert json.loads(ct["label_map_values"]) == {"1": "spleen"}
    assert np.count_nonzero(label_map) * np.prod(ct["spacing_mm"]) == pytest.approx(marked_mm3, rel=0.01)
    with ShardReader(*project.shard_folders()) as shards:
        hu = decode(shards.read(Place(ct["shard"], ct["offset"], ct["size_bytes"])), ".nii.gz")
    assert 50 < hu[label_map > 0].mean() < 200


@real_data
@pytest.mark.parametrize(("name", "key", "columns"), [("hannover-cxr-512", "image_id", {"age_years": "age", "sex": "sex"})])
def test_real_x_rays_with_a_table_come_in(tmp_path: Path, name: str, key: str, columns: dict[str, str]) -> None:
    """Every JPEG is kept or a duplicate, patients are grouped."""
    if not (REAL / name).is_dir():
        pytest.skip("real data is not here")
    project = Project(tmp_path / "p")
    source = {
        "kind": "raster",
        "modality": "CR",
        "table": REAL / name / "metadata.csv",
        "key": key,
        "patient": "patient_id",
        "columns": columns,
        "burned_in_text": "header",
    }
    report = run(project, REAL / name / "images", **source)
    assert (report.quarantined, report.skipped, report.kept + report.duplicates) == (0, 0, 243)
    rows = read_manifest(project.manifest)
    assert 60 < rows["patient_id"].n_unique() <= 71
    assert rows["sex"].drop_nulls().is_in(["F", "M"]).all()
