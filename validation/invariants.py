"""What must never happen in a release; each invariant is one function that returns a `CheckResult`.

The numbers are those of the design's section 5. Sentences name image_ids, pseudonyms, shards and hashes only.
`check_rows` runs those that a manifest and its stored files can show; what the project's own records must show is in `validation/history.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from curation.errors import IntegrityError
from curation.pixels import read_mark
from curation.shards import PLACE
from synthesis.candidates import MARK
from validation.checks import CheckResult, conclude
from validation.identifiers import hidden_text, identifiers_in_rows, kinds_in
from validation.recipe import ReleaseSettings

Read = Callable[[dict[str, Any]], bytes]
"""Returns the stored file of one row."""

TrainingRows = dict[str, frozenset[str]]
"""image_ids that a generator was trained on, by `training_manifest_sha256`."""


def check_rows(rows: pl.DataFrame, training: TrainingRows, settings: ReleaseSettings, read: Read) -> tuple[CheckResult, ...]:
    """Check the invariants that a manifest and its stored files can show.

    Args:
        rows: the rows of a release.
        training: what the generators behind the rows saw.
        settings: what the recipe demands of synthetic images.
        read: how to read a row's stored file.
    """
    return (
        check_synthetic_in_train(rows),
        check_generators(rows, training),
        check_sides(rows),
        check_fits(rows, training),
        check_row_identifiers(rows),
        check_stored_files(rows, read),
        check_acceptance(rows, settings),
        check_screens(rows),
        check_screen_power(rows, settings),
        check_marks(rows, read),
    )


def check_synthetic_in_train(rows: pl.DataFrame) -> CheckResult:
    """Invariant 1a: synthetic images are in train only."""
    synthetic = rows.filter(pl.col("origin") == "synthetic")
    wrong = synthetic.filter(pl.col("split").fill_null("none") != "train")
    failures = [f"synthetic image {image_id} is in {split}" for image_id, split in wrong.select("image_id", "split").iter_rows()]
    return conclude("1a synthetic only in train", "No synthetic image is in val, test or holdout.", failures, synthetic.height)


def check_generators(rows: pl.DataFrame, training: TrainingRows) -> CheckResult:
    """Invariant 1b: the generator of every synthetic image saw train only, and what it saw is known."""
    made = rows.filter(pl.col("origin") == "synthetic")
    sides = _sides(rows)
    failures: list[str] = []
    for manifest, count in made.group_by("training_manifest_sha256").len().sort("training_manifest_sha256").iter_rows():
        if manifest not in training:
            failures.append(f"{count} synthetic images come from a generator whose training rows ({str(manifest)[:12]}…) are not on record")
            continue
        failures += [f"generator of training rows {manifest[:12]}… saw image {image_id} of {side}" for image_id, side in _outside(training[manifest], sides)]
    for image_id, parents in made.filter(pl.col("parents").is_not_null()).select("image_id", "parents").iter_rows():
        failures += [f"synthetic image {image_id} has parent {parent} of {side}" for parent, side in _outside(parents, sides)]
    text = "The training rows of every synthetic image's generator are on record, and none of them, nor any parent, is in val, test or holdout."
    return conclude("1b generators saw train only", text, failures, made.height)


def _sides(rows: pl.DataFrame) -> dict[str, str | None]:
    return dict(rows.select("image_id", "split").iter_rows())


def _outside(image_ids: Any, sides: dict[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield the ids that stand in val, test or holdout."""
    for image_id in sorted(image_ids):
        side = sides.get(image_id)
        if side not in (None, "train"):
            yield image_id, str(side)


def check_sides(rows: pl.DataFrame) -> CheckResult:
    """Invariant 2: patients, groups, duplicates and equal pixels, parents and children stand on one side."""
    failures: list[str] = []
    for column in ("patient_id", "group_id", "duplicate_group", "pixels_sha256"):
        sides_of = rows.filter(pl.col(column).is_not_null()).group_by(column).agg(pl.col("split").unique().sort())
        torn = sides_of.filter(pl.col("split").list.len() > 1).sort(column)
        failures += [f"{column} {str(value)[:20]} is in {', '.join(map(str, found))}" for value, found in torn.iter_rows()]
    sides = _sides(rows)
    for image_id, split, parents in rows.filter(pl.col("parents").is_not_null()).select("image_id", "split", "parents").iter_rows():
        failures += [f"image {image_id} is in {split}, its parent {parent} in {sides[parent]}" for parent in parents if sides.get(parent, split) != split]
    text = "No patient, group, duplicate group, equal pixels, or parent and child on two sides. Near-duplicates of different patients are not looked for."
    return conclude("2 one side of the split", text, failures, rows.height)


def check_fits(rows: pl.DataFrame, training: TrainingRows) -> CheckResult:
    """Invariant 3: what was fitted was fitted on train."""
    sides = _sides(rows)
    leaks = [(manifest, *leak) for manifest, ids in sorted(training.items()) for leak in _outside(ids, sides)]
    failures = [f"a generator (training rows {manifest[:12]}…) was fitted on image {image_id} of {side}" for manifest, image_id, side in leaks]
    text = (
        "Every generator on record in this project was fitted on train rows. Harmonization has nothing fitted: each image is processed by itself. "
        "Probes and screens fit on train inside their stages, which their own tests show; this check cannot see them."
    )
    return conclude("3 fitted on train only", text, failures, len(training))


def check_row_identifiers(rows: pl.DataFrame) -> CheckResult:
    """Invariant 4a: no value of the manifest looks like a raw identifier."""
    text = "No text of the manifest holds a UID outside 2.25, an e-mail address, a date outside acquired_on (shifted) and reviewed_at, or an absolute path."
    return conclude("4a no identifiers in the manifest", text, identifiers_in_rows(rows), rows.height)


def check_texts(texts: dict[str, str], released_on: str, name: str = "4b no identifiers in release files") -> CheckResult:
    """Invariant 4b: no text file of the release holds a raw identifier.

    Args:
        texts: content by name.
        released_on: the day of the release (YYYY-MM-DD), the one date that may stand there.
        name: of the check.
    """
    allowed = frozenset({released_on})
    failures = [f"{file} holds {kind}" for file, content in sorted(texts.items()) for kind in kinds_in(content, allowed)]
    return conclude(name, "No card, release or evidence file holds an identifier of the kinds of 4a.", failures, len(texts))


def check_stored_files(rows: pl.DataFrame, read: Read) -> CheckResult:
    """Invariant 4c: stored files of acquired images hold pixels and geometry, nothing else."""
    failures, acquired = [], rows.filter(pl.col("origin") == "acquired").sort("shard", "offset")
    for row in acquired.select("image_id", *PLACE, "suffix").iter_rows(named=True):
        try:
            failures += [f"image {row['image_id']} has a {place}" for place in hidden_text(read(row), row["suffix"])]
            if row["label_map_offset"] is not None:
                stored = read(row | {"offset": row["label_map_offset"], "size_bytes": row["label_map_size_bytes"]})
                failures += [f"the label map of image {row['image_id']} has a {place}" for place in hidden_text(stored, ".nii.gz")]
        except IntegrityError as error:
            failures.append(f"image {row['image_id']} cannot be read: {error.reason}")
    text = (
        "Every stored file of an acquired image was opened: no text chunk in a PNG, no free text field or extension in a NIfTI, no bytes after the end. "
        "Pixels themselves are not read here: ingest looks for burned-in text and for heads with thin slices."
    )
    return conclude("4c no text in stored images", text, failures, acquired.height)


def check_acceptance(rows: pl.DataFrame, settings: ReleaseSettings) -> CheckResult:
    """Invariant 5a: every synthetic image has the acceptance that the recipe demands."""
    made = rows.filter(pl.col("origin") == "synthetic")
    if settings.synthetic == "none":
        failures = [f"synthetic image {image_id} is there, the recipe allows none" for image_id in made["image_id"]]
        return conclude("5a synthetic images accepted", "The recipe allows no synthetic image.", failures, made.height)
    accepted = (pl.col("verdict") == "accepted") & (pl.col("readers").fill_null(0) >= 1)
    refused = made.filter(~accepted.fill_null(False)).select("image_id", "verdict")
    failures = [f"synthetic image {image_id} has the verdict {verdict}" for image_id, verdict in refused.iter_rows()]
    for image_id, label, condition in made.select("image_id", "label", "condition").iter_rows():
        if parse(condition).get("label") != label:
            failures.append(f"synthetic image {image_id} is not labelled as the class that it was made for")
    text = "Every synthetic image was accepted by at least one reader and is labelled as the class that it was made for."
    return conclude("5a synthetic images accepted", text, failures, made.height)


def check_screens(rows: pl.DataFrame) -> CheckResult:
    """Invariant 5b: every synthetic image passed its screens."""
    made = rows.filter(pl.col("origin") == "synthetic")
    failures = []
    for image_id, screens in made.select("image_id", "screens").iter_rows():
        results = parse(screens)
        if not results:
            failures.append(f"synthetic image {image_id} went through no screen")
        failures += [f"synthetic image {image_id} did not pass {name}" for name, result in sorted(results.items()) if not _passed(result)]
    return conclude("5b synthetic images screened", "Every synthetic image went through its screens and passed each of them.", failures, made.height)


def check_screen_power(rows: pl.DataFrame, settings: ReleaseSettings) -> CheckResult:
    """Invariant 5d: it is known, by planted copies, that the memorization screen of every synthetic image's class catches what the recipe demands."""
    made = rows.filter(pl.col("origin") == "synthetic")
    failures = []
    for image_id, screens in made.select("image_id", "screens").iter_rows():
        result = parse(screens).get("memorization")
        power = result.get("power_class") if isinstance(result, dict) else None
        if not isinstance(power, int | float) or isinstance(power, bool):
            failures.append(f"synthetic image {image_id}: nobody knows how many planted copies of its class the memorization screen catches")
        elif not power >= settings.least_power:
            failures.append(f"synthetic image {image_id}: the memorization screen caught {power:.0%} of the planted copies of its class")
    text = f"Of planted near-copies of each synthetic image's class, the memorization screen caught at least {settings.least_power:.0%} (release.least_power)."
    return conclude("5d memorization screens have power", text, failures, made.height)


def parse(text: str | None) -> dict[str, Any]:
    """Return the JSON object in a cell, empty when there is none."""
    try:
        content = json.loads(text or "{}")
    except json.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _passed(result: Any) -> bool:
    return bool(result.get("passed")) if isinstance(result, dict) else result is True


def check_marks(rows: pl.DataFrame, read: Read) -> CheckResult:
    """Invariant 5c: every synthetic image says in its own file that it is synthetic."""
    made, failures = rows.filter(pl.col("origin") == "synthetic"), []
    for row in made.iter_rows(named=True):
        try:
            mark = read_mark(read(row), row["suffix"])
        except (IntegrityError, OSError) as error:
            failures.append(f"synthetic image {row['image_id']} cannot be read ({type(error).__name__})")
            continue
        if MARK not in mark:
            failures.append(f"synthetic image {row['image_id']} does not carry its mark")
    text = "The file of every synthetic image was read back and carries its mark, as a PNG text chunk or a NIfTI extension."
    return conclude("5c synthetic images marked", text, failures, made.height)
