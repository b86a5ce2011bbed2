"""What the loop found of what was planted: the demo's last word."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from curation.manifest import read_manifest
from curation.project import Project
from flows.demo.cohort import GroundTruth, Planted

QUARANTINE = {"truncated file": "TRUNCATED", "missing slice": "MISSING_SLICES"}


@dataclass(frozen=True)
class Finding:
    """How many of one kind of planted fault were found, and how."""

    fault: str
    planted: int
    found: int
    how: str


@dataclass(frozen=True)
class Evidence:
    """What the loop left behind, asked about one simulated image at a time."""

    intake: pl.DataFrame
    rows: pl.DataFrame
    released: pl.DataFrame

    def files(self, image: Planted) -> pl.DataFrame:
        """Return the intake rows of an image: one file, or the slices of a series."""
        is_here = (pl.col("path") == image.path) | pl.col("path").str.starts_with(f"{image.path}/")
        return self.intake.filter((pl.col("source") == image.source) & is_here)

    def row(self, image: Planted, rows: pl.DataFrame) -> dict[str, Any]:
        """Return the image's row in `rows`, or an empty one."""
        ids = self.files(image)["image_ids"].explode().drop_nulls()
        found = rows.filter(pl.col("image_id").is_in(ids.to_list())).to_dicts()
        return found[0] if found else {}

    def is_one_kept(self, image: Planted) -> bool:
        """Is exactly one of an image and its copy kept, and the other a duplicate?"""
        original = replace(image, path=image.path.replace("_again", ""))
        return sorted([*self.files(image)["outcome"], *self.files(original)["outcome"]]) == ["duplicate", "kept"]

    def is_quarantined_as(self, code: str, image: Planted) -> bool:
        """Are all files of the image in quarantine, with this code?"""
        files = self.files(image)
        return set(files["outcome"]) == {"quarantined"} and code in set(files["code"])

    def is_text_covered(self, image: Planted) -> bool:
        """Was text found in the pixels and covered? What could still be read would have been quarantined."""
        return bool(self.row(image, self.rows).get("masked_px"))

    def is_routed(self, image: Planted) -> bool:
        """Was the image sent to an expert?"""
        row = self.row(image, self.rows)
        return bool(row.get("route") or row.get("readers"))

    def is_true_now(self, image: Planted) -> bool:
        """Does the released version have the true label?"""
        return self.row(image, self.released).get("label") == image.truth

    def is_confounding_named(self) -> bool:
        """Is there a warning that the X-rays' site is tied to the finding?"""
        from curation.confounding import find_confounding

        warnings = find_confounding(self.rows).filter(pl.col("is_warning"), task="xray-2d", column="site")
        return warnings.height > 0


def compare_with_truth(project: Project, truth: GroundTruth, released: pl.DataFrame) -> list[Finding]:
    """Return one line a fault: planted and found.

    Args:
        project: the demo's project after the loop.
        truth: what was planted.
        released: rows of the last released version.
    """
    evidence = Evidence(pl.read_parquet(project.intake), read_manifest(project.manifest), released)
    questions: list[tuple[str, str, Callable[[Planted], bool]]] = [
        ("copied file", "one kept, one a duplicate", evidence.is_one_kept),
        ("re-saved image", "one kept, one a duplicate", evidence.is_one_kept),
        *((fault, f"quarantined as {code}", partial(evidence.is_quarantined_as, code)) for fault, code in QUARANTINE.items()),
        ("burned-in text", "covered, and read again", evidence.is_text_covered),
        ("no label", "an expert gave the true label", evidence.is_true_now),
        ("flipped label", "routed to an expert", evidence.is_routed),
        ("flipped label", "true label in the new version", evidence.is_true_now),
    ]
    findings = [Finding(fault, len(truth.having(fault)), sum(map(is_found, truth.having(fault))), how) for fault, how, is_found in questions]
    confounded = Finding("confounded site", int(bool(truth.having("confounded site"))), int(evidence.is_confounding_named()), "warning names site and label")
    return [*findings, confounded]


def false_alarms(project: Project, truth: GroundTruth) -> int:
    """Return how many simulated images without a fault were quarantined."""
    evidence = Evidence(pl.read_parquet(project.intake), pl.DataFrame(), pl.DataFrame())
    sound = [image for image in truth.images if not set(image.faults) & set(QUARANTINE)]
    return sum("quarantined" in set(evidence.files(image)["outcome"]) for image in sound)


def find_secrets(folders: Iterable[Path], secrets: tuple[str, ...]) -> list[str]:
    """Return the files below `folders` that hold a patient's number or name, in their bytes or, for tables, in their values."""
    needles = [secret.encode() for secret in secrets]
    return sorted({str(path) for folder in folders for path, content in _contents(folder) if any(needle in content for needle in needles)})


def _contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file with its bytes; Parquet and gzip members of shards are opened, since compression hides text."""
    import gzip
    import io
    import tarfile

    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        yield path, content
        if path.suffix == ".parquet":
            yield path, pl.read_parquet(path).write_ndjson().encode()
        if path.suffix == ".tar":
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                for member in tar:
                    packed = tar.extractfile(member)
                    if packed is not None and member.name.endswith(".gz"):
                        yield path, gzip.decompress(packed.read())
