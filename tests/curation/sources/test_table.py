"""Tables: what may be copied, and what may not."""

from pathlib import Path
from typing import Any

import pytest

from curation.errors import UsageError
from curation.recipe import SourceSettings
from curation.sources.table import Lookup, read_table

SECRET = b"0" * 32


def look_up(tmp_path: Path, text: str | bytes, image: str, **settings: Any) -> Lookup:
    """Read a table and return what it says of one image."""
    table = tmp_path / "table.csv"
    table.write_bytes(text.encode() if isinstance(text, str) else text)
    chosen = {"name": "clinic", "kind": "raster", "path": tmp_path, "modality": "XC", "table": table, "key": "id", **settings}
    return read_table(SourceSettings(**chosen)).look_up(image, SECRET)


def test_a_row_becomes_columns_of_the_record(tmp_path: Path) -> None:
    """Labels are mapped, sex is normalized, ages are capped, sites become pseudonyms, unknown columns go to attributes."""
    text = "\ufeffid;dx;who;age;sex;hospital;stage;size\na;mel;P-77;95;Female;St. Mary's, Springfield;T2;3.5\n"
    columns = {"age_years": "age", "sex": "sex", "site": "hospital", "stage": "stage", "size": "size"}
    found = look_up(tmp_path, text, "a", label="dx", patient="who", columns=columns, values={"label": {"mel": "melanoma"}})
    site = found.fields.pop("site")
    assert found.patient == "P-77"
    assert found.fields == {"label": "melanoma", "age_years": 90.0, "sex": "F", "modality": "XC", "attributes": '{"size": 3.5, "stage": "T2"}'}
    assert site.startswith("site-")
    assert len(site) == 13


def test_missing_values_are_none(tmp_path: Path) -> None:
    """Empty cells, NaN and an unknown sex leave no column behind."""
    found = look_up(tmp_path, "id,dx,age,sex\na,NaN,,unknown\n", "a", label="dx", columns={"age_years": "age", "sex": "sex"})
    assert found.fields == {"modality": "XC"}


def test_an_image_that_the_table_does_not_know_has_no_label(tmp_path: Path) -> None:
    """It is welcome without one."""
    assert look_up(tmp_path, "id,dx\na,mel\n", "b", label="dx") == Lookup(fields={"modality": "XC"})


def test_without_a_patient_an_image_is_refused(tmp_path: Path) -> None:
    """When the recipe names a column of patients, an image without one is never guessed."""
    found = look_up(tmp_path, "id,who\na,\n", "a", patient="who")
    assert found.problem is not None
    assert found.problem[0] == "NO_PATIENT"


def test_equal_rows_are_one_and_contradicting_rows_are_a_conflict(tmp_path: Path) -> None:
    """A row that comes twice does no harm; two rows that disagree say so with their numbers."""
    text = "id,dx,note\na,mel,x\na,mel,y\nb,mel,x\nb,nv,x\n"
    assert look_up(tmp_path, text, "a", label="dx").fields["label"] == "mel"
    problem = look_up(tmp_path, text, "b", label="dx").problem
    assert problem == ("TABLE_CONFLICT", "rows 4, 5 of the table contradict each other")


@pytest.mark.parametrize(
    ("text", "settings", "key"),
    [
        ("id,note\na,the patient Ms Jane Doe was seen on Tuesday morning\n", {"columns": {"finding": "note"}}, "columns.finding"),
        ("id,note\na,jane@doe\n", {"columns": {"finding": "note"}}, "columns.finding"),
        ("id,dx\n" + "".join(f"{n},name{n}\n" for n in range(65)), {"label": "dx"}, "label"),
        ("id,mrn\n" + "".join(f"{n},{1234567 + n}\n" for n in range(65)), {"columns": {"number": "mrn"}}, "columns.number"),
        (
            "id,who,name\n" + "".join(f"{n},{n // 3},{'ABCDEFGHIJ'[n // 3]}. Doe\n" for n in range(30)),
            {"patient": "who", "columns": {"n": "name"}},
            "columns.n",
        ),
        ("id,name\n" + "".join(f"{n},{'ABCDEFGHIJ'[n]}. Doe\n" for n in range(10)), {"label": "name"}, "label"),
        ("id,born\na,1957-03-11\n", {"columns": {"born": "born"}}, "columns.born"),
        ("id,born\na,11.3.1957\n", {"label": "born"}, "label"),
        ("id,mrn\na,1234567\n", {"columns": {"number": "mrn"}}, "columns.number"),
        ("id,dx\na,mel\n", {"label": "diagnosis"}, "label"),
        ("id,dx\na,mel\n", {"columns": {"split": "dx"}}, "columns.split"),
        ("id,dx\na,mel\n", {"key": "image"}, "key"),
        ("id,dx\n", {"label": "dx"}, "table"),
    ],
)
def test_free_text_identifiers_and_wrong_columns_stop_the_run(tmp_path: Path, text: str, settings: dict[str, Any], key: str) -> None:
    """The message names the recipe's key and never quotes a value."""
    with pytest.raises(UsageError, match="source 'clinic'") as caught:
        look_up(tmp_path, text, "a", **settings)
    assert f": {key}: " in str(caught.value)
    assert not any(word in str(caught.value) for word in ("Jane", "jane", "Doe", "1957", "1234567"))


def test_bytes_that_are_not_utf_8_do_not_stop_the_run(tmp_path: Path) -> None:
    """Mojibake in a column that is not mapped is nobody's business."""
    assert look_up(tmp_path, b"id,dx,note\na,mel,\x93wet market\x94\n", "a", label="dx").fields["label"] == "mel"


def test_dates_are_shifted_and_need_a_patient(tmp_path: Path) -> None:
    """Two dates of a patient keep their distance; without a patient there is no date."""
    text = "id,who,day\na,P-1,2024-01-10\nb,P-1,2024-01-15\n"
    settings: dict[str, Any] = {"columns": {"acquired_on": "day"}}
    first, second = (look_up(tmp_path, text, key, patient="who", **settings).fields["acquired_on"] for key in "ab")
    assert first < "2024-01-10"
    assert int(second[-2:]) - int(first[-2:]) in (5, 5 - 31, 5 - 30, 5 - 29, 5 - 28)
    assert "acquired_on" not in look_up(tmp_path, text, "a", **settings).fields


def test_a_long_tail_of_classes_is_still_a_category(tmp_path: Path) -> None:
    """Rare classes with one patient each are welcome beside common ones."""
    text = "id,dx\n" + "".join(f"{n},common{n % 4}\n" for n in range(40)) + "".join(f"r{n},rare{n}\n" for n in range(12))
    assert look_up(tmp_path, text, "r3", label="dx").fields["label"] == "rare3"


def test_a_refusal_says_whether_the_file_is_not_listed_or_its_row_names_nobody(tmp_path: Path) -> None:
    """The two have different remedies; neither quotes a value of the table."""
    unlisted = look_up(tmp_path, "id,who\nscan.png,7\n", "scan", patient="who").problem
    assert unlisted == ("NO_PATIENT", "no row of the table is about this file: the column 'id' (key) was compared with its stem (match)")
    nameless = look_up(tmp_path, "id,who\na,\n", "a", patient="who").problem
    assert nameless == ("NO_PATIENT", "its row of the table has no patient: the column 'who' is empty")


def test_the_recipe_takes_a_value_away_with_an_empty_text(tmp_path: Path) -> None:
    """The image has no label then; an empty one would be a class of its own."""
    found = look_up(tmp_path, "id,dx\na,unsure\n", "a", label="dx", values={"label": {"unsure": ""}})
    assert found.fields == {"modality": "XC"}
