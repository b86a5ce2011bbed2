"""Reading any table: what each image shows, and of whom. Nothing is left out without being counted."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.lift.study import EACH_ITS_OWN, LEAST_LESIONS, Study
from curation.errors import UsageError

NO_LABEL = ("", "nan")
NO_PATIENT = ("", "nan", "na", "n/a", "none", "null", "unknown", "-", "?")
MARKED = ("1", "1.0", "true", "yes", "x")
"""Where each class has a column of its own."""
SHOWN_NAMES = 12
MOST_LINES = 50
"""Of one cell; more are rows that an open quote swallowed."""


@dataclass(frozen=True)
class TableRow:
    """One image as the table has it.

    Attributes:
        line: row of the table; the header is row 1.
        image: name of the file.
        label: class.
        group: patient or lesion.
        subgroups: column to value.
    """

    line: int
    image: str
    label: str
    group: str
    subgroups: dict[str, str]

    @property
    def said(self) -> tuple[object, ...]:
        """Return what the table says of the image."""
        return (self.label, self.group, *sorted(self.subgroups.items()))


@dataclass
class Left:
    """Rows that are left out, by reason, and sentences about rows that stay but were not taken as they are."""

    lines: dict[str, list[int]] = field(default_factory=dict)
    read_as: list[str] = field(default_factory=list)

    def out(self, reason: str, rows: Sequence[TableRow]) -> None:
        """Leave rows out."""
        if rows:
            self.lines.setdefault(reason, []).extend(row.line for row in rows)

    def sentences(self) -> list[str]:
        """Return one sentence a reason."""
        return [f"{len(lines)} row{'s' * (len(lines) > 1)} left out: {reason} ({name_lines(lines)})" for reason, lines in self.lines.items()]


def name_lines(lines: Sequence[int]) -> str:
    """Return `rows 3, 7, 9, …` of the table."""
    return f"row{'s' if len(lines) > 1 else ''} {', '.join(map(str, sorted(lines)[:3]))}{', …' if len(lines) > 3 else ''}"


def name_few(names: Sequence[str]) -> str:
    """Return the first names of a list; one that holds a comma stands in quotes."""
    return ", ".join(f"'{name}'" if "," in name else name for name in names[:SHOWN_NAMES]) + (", …" if len(names) > SHOWN_NAMES else "")


def read_rows(study: Study, left: Left) -> list[TableRow]:
    """Return the rows that `--where` keeps and that name an image, a class and a patient.

    Raises:
        UsageError: the file is no table, or a column or value is missing.
    """
    header, cells = _read_cells(study.table)
    wanted = {"--image": study.image, **({} if study.patient == EACH_ITS_OWN else {"--patient": study.patient})}
    wanted |= {f"--label{f' {name}' if len(study.label) > 1 else ''}": name for name in study.label}
    wanted |= {f"--subgroups {name}": name for name in study.subgroups} | {f"--where {part}": part.partition("=")[0] for part in study.where}
    for option, column in wanted.items():
        if header.count(column) != 1:
            _refuse_column(option, column, header, study)
    records = [(line, dict(zip(header, row, strict=False))) for line, row in enumerate(cells, start=2) if any(row)]
    wide = [TableRow(line, "", "", "", {}) for line, row in enumerate(cells, start=2) if any(row[len(header) :])]
    left.out("more cells than the header; quote cells that hold the separator", wide)
    skipped = {row.line for row in wide}
    kept = _where([(line, record) for line, record in records if line not in skipped], study)
    rows = [_to_row(line, record, study) for line, record in kept]
    left.out(f"no image ({study.image} is empty)", [row for row in rows if row.image.lower() in NO_LABEL])
    rows = [row for row in rows if row.image.lower() not in NO_LABEL]
    left.out(
        f"no class ({study.label[0]} is empty)" if len(study.label) == 1 else "not one class, but none or several",
        [row for row in rows if row.label.lower() in NO_LABEL],
    )
    rows = [row for row in rows if row.label.lower() not in NO_LABEL]
    if study.patient != EACH_ITS_OWN:
        left.out(f"no patient ({study.patient} is empty or unknown)", [row for row in rows if row.group.lower() in NO_PATIENT])
        rows = [row for row in rows if row.group.lower() not in NO_PATIENT]
    return join_spellings(rows, study.rare, left)


def join_spellings(rows: Sequence[TableRow], rare: Sequence[str], left: Left) -> list[TableRow]:
    """Return the rows with one spelling for classes that differ in case, blanks or a `.0` only: that of `--rare`, else the commonest.

    Left apart, they would be two classes, and a patient who has both would lose images.

    Worked value: `PA`, `PA` and `pa` become `PA`; `3`, `03` and `3.0` become `3` when `--rare 3` says so.
    """
    counts = Counter(row.label for row in rows)
    spellings: dict[str, list[str]] = {}
    for label in sorted(counts, key=lambda one: (one not in rare, -counts[one], one)):
        spellings.setdefault(_plain_class(label), []).append(label)
    asked = {_plain_class(label): label for label in rare}
    chosen = {label: asked.get(plain, same[0]) for plain, same in spellings.items() for label in same}
    joined = [f"{', '.join(same)} as {chosen[same[0]]}" for same in spellings.values() if len(same) > 1]
    left.read_as += [f"spellings of one class were joined: {'; '.join(joined)}"] if joined else []
    return [replace(row, label=chosen[row.label]) for row in rows]


def _plain_class(label: str) -> str:
    """Return a class without regard to case, blanks, and how a whole number is written."""
    plain = " ".join(label.casefold().split())
    number = re.fullmatch(r"([+-]?\d+)(?:[.,]0*)?", plain)
    return str(int(number[1])) if number else plain


def _read_cells(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and all rows: any of `,` `;` tab `|`, UTF-8 or UTF-16 with or without a mark, else Windows-1252.

    Raises:
        UsageError: it is no table with a header and rows.
    """
    content = path.read_bytes()
    if content[:2] == b"PK":
        raise UsageError(f"--table {path.name} is a spreadsheet: save it as CSV")
    text = _decode(content)
    line = text.partition("\n")[0]
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t|", key=line.count)))
    except csv.Error as error:
        raise UsageError(f"--table {path.name} is no CSV table: {error}") from None
    if len(rows) < 2:
        raise UsageError(f"--table {path.name} has {'a header but no rows' if rows else 'nothing in it'}: was it cut short while it was written?")
    if broken := [line for line, row in enumerate(rows, start=1) if any(cell.count("\n") > MOST_LINES for cell in row)]:
        raise UsageError(f"--table {path.name}: {name_lines(broken[:1])} opens a quote and does not close it for {MOST_LINES} lines: mend it")
    return [_clean(name) for name in rows[0]], [[_clean(cell) for cell in row] for row in rows[1:]]


def _decode(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _clean(cell: str) -> str:
    """Return a cell without blanks around it, accents in one form."""
    return unicodedata.normalize("NFC", cell.strip())


def _refuse_column(option: str, column: str, header: list[str], study: Study) -> None:
    """Say which columns there are."""
    if column in header:
        raise UsageError(f"--table {study.table.name} has {header.count(column)} columns {column!r} ({option}): rename all but one")
    hint = f"; when every image is of another patient, say --patient {EACH_ITS_OWN}" if option == "--patient" else ""
    raise UsageError(f"--table {study.table.name} has no column {column!r} ({option}); it has: {name_few(header)}{hint}")


def _where(records: list[tuple[int, dict[str, str]]], study: Study) -> list[tuple[int, dict[str, str]]]:
    """Return the rows that `--where` keeps: several values of one column are alternatives.

    Raises:
        UsageError: none is left.
    """
    wanted: dict[str, set[str]] = {}
    for part in study.where:
        column, _, value = part.partition("=")
        wanted.setdefault(column, set()).add(_clean(value))
    for column, values in wanted.items():
        found = Counter(record.get(column, "") for _, record in records)
        if strange := sorted(values - set(found)):
            known = name_few([f"{value or '(empty)'}" for value, _ in found.most_common()])
            raise UsageError(f"--where: no row has {column}={strange[0]}; its values are: {known}")
        records = [(line, record) for line, record in records if record.get(column, "") in values]
    if not records:
        raise UsageError("--where leaves no row: no row has all of these values")
    return records


def _to_row(line: int, record: dict[str, str], study: Study) -> TableRow:
    """Return a row; without a patient column each image is one of its own."""
    group = record.get(study.image if study.patient == EACH_ITS_OWN else study.patient, "")
    marked = [name for name in study.label if record.get(name, "").lower() in MARKED]
    label = record.get(study.label[0], "") if len(study.label) == 1 else marked[0] if len(marked) == 1 else ""
    return TableRow(line, record.get(study.image, ""), label, group, {name: record.get(name, "") for name in study.subgroups})


def choose_classes(rows: Sequence[TableRow], study: Study, left: Left) -> list[TableRow]:
    """Return the rows of the classes that take part; a group with several classes keeps its rarest, counted in groups.

    Raises:
        UsageError: a rare class is not there or has too few groups, or no common class is left.
    """
    groups: dict[str, set[str]] = {}
    for row in rows:
        groups.setdefault(row.label, set()).add(row.group)
    counts = Counter({label: len(members) for label, members in groups.items()})
    if not rows:
        raise UsageError(f"no row of the table is left: {'; '.join(left.sentences()) or 'it has none'}")
    if not study.rare:
        raise UsageError(f"--rare: name the classes that are cut; the classes are, with their groups: {list_classes(counts)}")
    if missing := sorted(set(study.rare) - set(groups)):
        raise UsageError(f"--rare: no image of {', '.join(missing)}; the classes are, with their groups: {list_classes(counts)}")
    kept = {label for label in counts if label in study.rare or counts[label] >= study.least_groups}
    if kept <= set(study.rare):
        hint = f"name fewer with --rare, or lower --least-groups ({study.least_groups})"
        raise UsageError(f"no common class is left, and the base learns from those: {hint}; the classes are, with their groups: {list_classes(counts)}")
    label_of: dict[str, str] = {}
    for label in sorted(kept, key=lambda one: (one in study.rare, -counts[one], one)):
        label_of |= dict.fromkeys(groups[label], label)
    small = sorted(set(counts) - kept)
    left.out(f"a class with fewer than {study.least_groups} groups (--least-groups): {name_few(small)}", [row for row in rows if row.label in small])
    mixed = [row for row in rows if row.label in kept and row.label != label_of[row.group]]
    left.out("the patient has a rarer class, too, and counts for that one only", mixed)
    chosen = [row for row in rows if row.label in kept and row.label == label_of[row.group]]
    check_classes(chosen, study)
    return chosen


def list_classes(counts: Counter[str]) -> str:
    """Return the classes with their counts, the commonest first."""
    return name_few([f"{label} {count}" for label, count in counts.most_common()])


def check_classes(rows: Sequence[TableRow], study: Study) -> None:
    """Raise `UsageError` unless there is a common class, and each rare one has groups for train, val and test."""
    counts: Counter[str] = Counter({label: len({row.group for row in rows if row.label == label}) for label in {row.label for row in rows}})
    if set(counts) <= set(study.rare):
        raise UsageError(f"no common class is left, and the base learns from those: each of their patients has a rare one, too ({list_classes(counts)})")
    for label in study.rare:
        most = counts[label] - study.val_groups - 1
        if max(study.lesions) > most:
            has = f"{label} has {counts[label]} groups: {max(study.lesions)} for train and {study.val_groups} for val leave none for test"
            raise UsageError(f"{has}; {_would_do(counts[label], most)}")


def _would_do(groups: int, most: int) -> str:
    """Return what a class of so many groups could be cut to."""
    if most >= LEAST_LESIONS:
        return f"--lesions can be at most {most}"
    if groups > LEAST_LESIONS + 1:
        return f"lower --val-groups to {groups - LEAST_LESIONS - 1} or less, and --lesions with it"
    return f"{LEAST_LESIONS + 2} groups are the least: collect more, or name another class"
