"""Any table, any folder: what is read, what is left out and counted, and what is refused with a sentence that says what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.lift.__main__ import main
from benchmarks.lift.generating import check_settings
from benchmarks.lift.pictures import Pictures, read_pictures, read_square
from benchmarks.lift.study import Study, check, keep_encoder, working
from curation.errors import LockedError, UsageError

HEADER = ("file", "class", "who")


def rows_of(groups: dict[str, int]) -> list[list[str]]:
    """Return one row for each group of each class."""
    return [[f"{label[:2]}{member:02d}", label, f"p-{label}{member}"] for label, number in groups.items() for member in range(number)]


def write_images(folder: Path, names: list[str], seed: int = 0) -> None:
    """Write one small image of its own for each name that does not hold a folder yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        pixels = np.random.default_rng(seed + place).integers(0, 255, (8, 10), np.uint8)
        path = folder / (name if "." in name else f"{name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def a_study(tmp_path: Path, rows: list[list[str]], *, separator: str = ",", encoding: str = "utf-8", end: str = "\n", **changes: object) -> Study:
    """Write a table and return its study; images lie in `images`, and are written when there are none."""
    lines = [separator.join(row) for row in (list(HEADER), *rows)]
    (tmp_path / "table.csv").write_bytes((end.join(lines) + end).encode(encoding))
    if not (tmp_path / "images").exists():
        write_images(tmp_path / "images", [row[0] for row in rows])
    asked = {"image": "file", "label": ("class",), "patient": "who", "rare": ("df",), "lesions": (2,), "val_groups": 2, "least_groups": 3, "full_px": 16}
    (tmp_path / "work").mkdir(exist_ok=True)
    return Study(tmp_path / "images", tmp_path / "table.csv", tmp_path / "work", size_px=16, **(asked | changes))  # type: ignore[arg-type]


def read(study: Study) -> Pictures:
    """Read without printing."""
    return read_pictures(study, lambda _: None)


@pytest.mark.parametrize(("separator", "encoding", "end"), [(";", "utf-8-sig", "\r\n"), ("\t", "cp1252", "\n"), ("|", "utf-16", "\n"), (",", "utf-8", "\r\n")])
def test_a_table_is_read_with_any_separator_encoding_and_line_end(tmp_path: Path, separator: str, encoding: str, end: str) -> None:
    """Accents, slashes and blanks in a class stay what they are."""
    rows = rows_of({"nv": 4, "mélanome / in situ": 5})
    study = a_study(tmp_path, rows, separator=separator, encoding=encoding, end=end, rare=("mélanome / in situ",))
    pictures = read(study)
    assert sorted(set(pictures.labels.tolist())) == ["mélanome / in situ", "nv"]
    assert len(pictures.ids) == 9


def test_a_row_is_left_out_with_its_reason_and_never_in_silence(tmp_path: Path) -> None:
    """Missing cells, missing and broken files, repeats, contradictions, copies, small classes and a patient of two classes are each counted."""
    rows = rows_of({"nv": 30, "df": 9, "odd": 1})
    study = a_study(tmp_path, rows)
    further = "nv05,nv,p-nv5 df08,nv,p-df8 gone,nv,p-9 copy,nv,p-copy extra,nv,p-df1 ,nv,p wide,nv,p-w,too,many"
    table = [*rows, *(row.split(",") for row in further.split())]
    table[1][1], table[2][2], table[31][0] = "", "unknown", "DF01.PNG"
    write_images(tmp_path / "images", ["copy", "extra", "wide"], seed=100)
    (tmp_path / "images" / "copy.png").write_bytes((tmp_path / "images" / "nv07.png").read_bytes())
    (tmp_path / "images" / "nv10.png").write_bytes(b"\x89PNG broken")
    pictures = read(a_study(tmp_path, table))
    reasons = {sentence.split(" left out: ")[1].split(" (")[0]: sentence.split(" row")[0] for sentence in pictures.notes if "left out" in sentence}
    assert reasons == {
        "more cells than the header; quote cells that hold the separator": "1",
        "no image": "1", "no class": "1", "no patient": "1", "the image is not in the folder": "1", "contradicts another row about the same image": "2",
        "repeats another row": "1", "the file is a copy of another one": "1", "the file cannot be read as one image": "1",
        "a class with fewer than 3 groups": "1", "the patient has a rarer class, too, and counts for that one only": "1",
    }  # fmt: skip
    assert len(pictures.ids) == len(table) - sum(map(int, reasons.values()))
    assert len((study.work / "left_out.csv").read_text().splitlines()) == 1 + sum(map(int, reasons.values()))


def test_the_same_name_in_two_folders_is_an_error_until_the_table_names_the_folder(tmp_path: Path) -> None:
    """Backslashes, other cases, another ending and a leading folder that `--images` names already are understood."""
    write_images(tmp_path / "images", [f"{side}/{number}.png" for side in ("left", "right") for number in range(5)])
    bare = [[str(number), label, f"{label}{number}"] for label in ("nv", "df") for number in range(5)]
    with pytest.raises(UsageError, match=r"10 rows? could mean several files \(rows 2, 3, 4, … of the table, column 'file'\)"):
        read(a_study(tmp_path, bare))
    named = [[f"images\\{'Left' if label == 'nv' else 'right'}\\{number}.dcm", label, who] for number, label, who in bare]
    pictures = read(a_study(tmp_path, named))
    assert [label for _, label in sorted(zip(pictures.ids.tolist(), pictures.labels.tolist(), strict=True))] == ["nv"] * 5 + ["df"] * 5


def test_images_of_every_kind_become_squares_of_one_kind(tmp_path: Path) -> None:
    """12 bits in a 16-bit file, transparency, palettes, one row of pixels and gray among colour; a folder is colour when a tenth of it is."""
    gray, colour = np.tile(np.arange(40, dtype=np.uint16) * 100, (30, 1)), np.zeros((30, 40, 3), np.uint8)
    colour[..., 0] = 200
    pictures = {
        "deep.png": Image.fromarray(gray), "rgba.PNG": Image.fromarray(colour).convert("RGBA"), "palette.gif": Image.fromarray(colour).convert("P"),
        "cmyk.jpeg": Image.fromarray(colour).convert("CMYK"), "line.tif": Image.fromarray(colour[:1]),
    }  # fmt: skip
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
        for is_colour in (False, True):
            square, side = read_square(tmp_path / name, 16, is_colour=is_colour)
            assert square is not None
            assert square.shape == ((16, 16, 3) if is_colour else (16, 16))
            assert side == (1 if name == "line.tif" else 30)
    deep, _ = read_square(tmp_path / "deep.png", 16, is_colour=False)
    assert deep is not None
    assert int(np.ptp(deep)) > 200
    (tmp_path / "no.png").write_text("no image")
    assert read_square(tmp_path / "no.png", 16, is_colour=False) == (None, 0)


def test_a_changed_table_or_image_is_not_mixed_into_old_results(tmp_path: Path) -> None:
    """The content counts, not the size or the time of a file."""
    rows = rows_of({"nv": 4, "df": 5})
    read(a_study(tmp_path, rows))
    swapped = [[*row] for row in rows]
    swapped[0][2] = "p-other"
    with pytest.raises(UsageError, match="--table changed since"):
        read(a_study(tmp_path, swapped))
    other = tmp_path / "images" / "nv01.png"
    Image.fromarray(np.full((8, 10), 7, np.uint8)).save(other)
    with pytest.raises(UsageError, match="--images changed since"):
        read(a_study(tmp_path, rows))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rare": ()}, "name the classes that are cut; the classes are, with their groups: df 5, nv 4"),
        ({"rare": ("bcc",)}, "no image of bcc; the classes are, with their groups: df 5, nv 4"),
        ({"rare": ("nv", "df"), "lesions": (1,), "val_groups": 1}, "no common class is left"),
        ({"lesions": (3,)}, "df has 5 groups: 3 for train and 2 for val leave none for test; --lesions can be at most 2"),
        ({"val_groups": 4}, "lower --val-groups to 2 or less, and --lesions with it"),
        ({"least_groups": 9}, r"lower --least-groups \(9\); the classes are, with their groups: df 5, nv 4"),
        ({"label": ("dx",)}, r"no column 'dx' \(--label\); it has: file, class, who"),
        ({"patient": "id"}, "when every image is of another patient, say --patient none"),
        ({"where": ("who=nobody",)}, "no row has who=nobody; its values are: p-nv0"),
        ({"image": "class"}, "files of only 0 of 9 rows"),
        ({"end": '\n"' + "\n" * 60}, "row 2 opens a quote and does not close it"),
    ],
)
def test_what_cannot_be_run_is_refused_with_what_to_do(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    """Before an image is read."""
    with pytest.raises(UsageError, match=sentence):
        read(a_study(tmp_path, rows_of({"nv": 4, "df": 5}), **changes))


def test_a_class_in_several_spellings_is_one_class_and_the_table_says_so(tmp_path: Path) -> None:
    """Case, blanks and the way a whole number is written; a patient with two spellings loses no image."""
    rows = rows_of({"nv": 8, "df": 5})
    for place, spelling in enumerate(("NV", "Nv ", "nv", "nv", "nv", "nv", "nv", "nv", "3", "03", "3.0", "3,0", "3")):
        rows[place][1] = spelling
    rows[0][2] = rows[3][2]
    pictures = read(a_study(tmp_path, rows, separator=";", rare=("3",)))
    assert pictures.labels.tolist() == ["3"] * 5 + ["nv"] * 8
    assert "spellings of one class were joined: 3, 03, 3,0, 3.0 as 3; nv, NV, Nv as nv" in pictures.notes


def test_a_number_finds_its_image_when_a_spreadsheet_took_the_zeros(tmp_path: Path) -> None:
    """A name that fits is taken first, and two files of one number are an error."""
    rows = [[f"{number:06d}", "nv" if number < 4 else "df", f"p{number}"] for number in range(9)]
    write_images(tmp_path / "images", [f"set 1/{row[0]}.png" for row in rows])
    bare = [[f"{int(name)}{'.0' * (label == 'df')}", label, who] for name, label, who in rows]
    pictures = read(a_study(tmp_path, bare))
    assert pictures.ids.tolist() == [f"set 1/{row[0]}.png" for row in rows]
    assert "9 rows found the image by its number, without the zeros in front (rows 2, 3, 4, …)" in pictures.notes
    write_images(tmp_path / "images", ["set 1/07.png"])
    with pytest.raises(UsageError, match=r"1 row could mean several files"):
        read(a_study(tmp_path, bare))
    assert len(read(a_study(tmp_path, rows)).ids) == 9


def test_a_table_may_have_one_column_for_each_class(tmp_path: Path) -> None:
    """A row with none or several marked is left out."""
    study = a_study(tmp_path, rows_of({"nv": 5, "df": 6}), label=("nv", "df"))
    lines = ["file,nv,df,who", *(f"nv{row:02d},1.0,0.0,n{row}" for row in range(5)), *(f"df{row:02d},{int(row == 5)},1,d{row}" for row in range(6))]
    study.table.write_text("\n".join(lines))
    pictures = read(study)
    assert pictures.labels.tolist() == ["df"] * 5 + ["nv"] * 5
    assert "1 row left out: not one class, but none or several (row 12)" in pictures.notes


def test_without_patients_each_image_is_its_own_and_the_table_says_so(tmp_path: Path) -> None:
    """Only when it is asked for."""
    pictures = read(a_study(tmp_path, rows_of({"nv": 4, "df": 5}), patient="none"))
    assert len(set(pictures.groups.tolist())) == 9
    assert any("--patient none" in note for note in pictures.notes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"resamples": 5}, "--resamples 5: "), ({"edit_mask": "blob"}, "--edit-mask blob: "), ({"flips": ("up",)}, "--flips "),
        ({"strength": 2.0}, "--strength 2.0: "), ({"low_shot_rate": 0.0}, "--low-shot-rate 0.0: "),
    ],
)  # fmt: skip
def test_a_setting_that_some_stage_would_refuse_is_refused_first(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    """By the name that the command line gives it."""
    with pytest.raises(UsageError, match=sentence):
        check_settings(a_study(tmp_path, rows_of({"nv": 1}), **changes))


def test_a_work_folder_is_not_taken_for_data_and_not_shared(tmp_path: Path) -> None:
    """A second run in it is refused while the first one goes on."""
    study = a_study(tmp_path, rows_of({"nv": 4, "df": 5}))
    with working(study), pytest.raises(LockedError, match="another run of this benchmark"), working(study):
        pass
    with pytest.raises(UsageError, match="--work lies inside --images"):
        check(Study(study.images, study.table, study.images / "work", ("df",)))


def test_figures_of_another_encoder_are_not_mixed_in(tmp_path: Path) -> None:
    """A newer program may embed otherwise, and judgements are kept by name."""
    study = a_study(tmp_path, rows_of({"nv": 4, "df": 5}))
    keep_encoder(study, "a" * 64)
    keep_encoder(study, "a" * 64)
    with pytest.raises(UsageError, match="another version of the encoder"):
        keep_encoder(study, "b" * 64)


def test_a_wrong_use_ends_with_two_and_names_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As argparse and every other command do."""
    assert main(["--images", str(tmp_path / "no"), "--table", "t.csv", "--work", str(tmp_path / "w"), "--rare", "df"]) == 2
    assert "--images" in capsys.readouterr().err


def test_a_size_that_no_network_halves_is_refused_with_those_that_would_do(tmp_path: Path) -> None:
    """28 px is the size of many public sets."""
    study = a_study(tmp_path, rows_of({"nv": 4, "df": 5}))
    with pytest.raises(UsageError, match=r"must be a multiple of 8, .* take 24 or 32"):
        check(replace(study, size_px=28, full_px=28))
