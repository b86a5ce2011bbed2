"""A DICOM study read as a whole, because its reports belong to all of its images."""

from __future__ import annotations

from dataclasses import replace

from curation.errors import ImageError
from curation.outcomes import READ_ERRORS, FileResult, hash_file, refusal_of, refuse
from curation.units import Unit, UnitFile


def split_study(unit: Unit) -> tuple[list[Unit], list[FileResult]]:
    """Return one unit a series, whose files know the text of the study's reports, and the outcomes of all other files.

    Reports follow each other in the order in which they were written. What the table says wins over them.
    """
    from curation.dicom import read_header
    from curation.dicom_reports import Report, is_report, read_report

    reports: list[Report] = []
    series: dict[str, list[UnitFile]] = {}
    others: list[FileResult] = []
    for file in unit.files:
        try:
            if is_report(file.real):
                reports.append(read_report(file.real))
                raise ImageError("REPORT", "a structured report: its text goes with the images of its study")
            series.setdefault(read_header(file.real).series_uid, []).append(file)
        except (ImageError, *READ_ERRORS) as error:
            others.append(refusal_of(file.path, refuse(error), hash_file(file.real)))
    text = "\n\n".join(report.text for report in sorted(reports))
    known = frozenset[str]().union(*(report.names for report in reports))
    return [replace(unit, files=tuple(_told(file, text, known) for file in files)) for _, files in sorted(series.items())], others


def _told(file: UnitFile, text: str, known: frozenset[str]) -> UnitFile:
    """Return the file with the text; it is read also when its own bytes did not change."""
    lookup = file.lookup
    return replace(file, known_sha256=None, lookup=replace(lookup, text=lookup.text or text or None, known=lookup.known | known))
