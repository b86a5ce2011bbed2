"""Which series each DICOM file belongs to, read from a few elements by the workers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from curation.errors import ImageError, WorkerLostError
from curation.outcomes import READ_ERRORS, FileResult, check_kind, hash_file, refusal_of, refuse
from curation.pseudonyms import pseudonym
from curation.sources.sniff import HEAD_BYTES

HEADERS_A_JOB = 200


@dataclass(frozen=True)
class HeaderJob:
    """Files whose headers are read by one worker: (source, printable path, what to open); of sources in `reports`, reports belong to their study."""

    files: tuple[tuple[str, str, Path], ...]
    reports: frozenset[str] = frozenset()

    def split(self) -> list[HeaderJob]:
        """Return one job a file."""
        return [HeaderJob((file,), self.reports) for file in self.files]


class Header(NamedTuple):
    """What a file's header says; raw identifiers, only for matching inside this process. Refused files have a `refusal` instead."""

    source: str
    path: str
    patient: str = ""
    study_uid: str = ""
    series_uid: str = ""
    refusal: FileResult | None = None

    def unit(self, secret: bytes, *, is_study: bool = False) -> str:
        """Return the pseudonym of the series, or of the study when its reports are read with it."""
        return pseudonym(secret, f"unit:{self.source}", f"{self.study_uid}|{'' if is_study else self.series_uid}")

    def key(self, match: str) -> str | None:
        """Return the value that a table is matched with; None when it is matched with file names."""
        return {"series_uid": self.series_uid, "study_uid": self.study_uid, "patient_id": self.patient}.get(match)


def read_headers(job: HeaderJob) -> list[Header]:
    """Return the header of every file, or why the file is refused."""
    return [_read(source, path, real, keeps_report=source in job.reports) for source, path, real in job.files]


def crash_headers(job: HeaderJob, lost: WorkerLostError) -> list[Header]:
    """Return the refusal of files whose headers take the worker that reads them."""
    refusal = ImageError(lost.code, lost.reason)
    return [Header(source, path, refusal=refusal_of(path, refusal, hash_file(real))) for source, path, real in job.files]


def _read(source: str, path: str, real: Path, *, keeps_report: bool) -> Header:
    from curation.dicom import read_header

    try:
        with real.open("rb") as file:
            check_kind(path, file.read(HEAD_BYTES), "dicom")
        header = read_header(real)
    except (ImageError, *READ_ERRORS) as error:
        report = _report_of(source, path, real) if keeps_report and isinstance(error, ImageError) and error.code == "REPORT" else None
        return report or Header(source, path, refusal=refusal_of(path, refuse(error), hash_file(real)))
    return Header(source, path, header.patient, header.study_uid, header.series_uid)


def _report_of(source: str, path: str, real: Path) -> Header | None:
    """Return the header of a report that people write, else None."""
    from curation.dicom_reports import is_report, study_of

    try:
        return Header(source, path, *study_of(real)) if is_report(real) else None
    except (ImageError, *READ_ERRORS):
        return None


def make_jobs(files: list[tuple[str, str, Path]], reports: frozenset[str] = frozenset()) -> list[HeaderJob]:
    """Return jobs of 200 files."""
    return [HeaderJob(tuple(files[start : start + HEADERS_A_JOB]), reports) for start in range(0, len(files), HEADERS_A_JOB)]
