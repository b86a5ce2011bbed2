"""De-identify a folder: found file by file, cleaned by an executor some files at a time, so that memory does not grow with the folder.

Answers are taken in the order in which the files were found, so the output has the same bytes for any number of workers.
"""

from __future__ import annotations

import shutil
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from curation.deidentify.files import UNFINISHED, Answer, Job, Refusal, clean_files, name_of, settle
from curation.deidentify.options import DeidentifySettings
from curation.errors import ImageError, UsageError, WorkerLostError
from curation.progress import Progress, silent
from curation.sources.walk import Found, walk

FILES_A_JOB = 16
JOBS_AHEAD = 16
"""Jobs that are handed out before the first of them is asked for its answer: enough for some dozens of workers."""

MAX_LISTED = 10_000
LINK_STATES = frozenset({"link", "special", "partial"})


@dataclass(frozen=True)
class DeidentifyReport:
    """What became of every file: `found` is the sum of cleaned, duplicates, skipped and the refused.

    Attributes:
        found: files and links.
        cleaned: files of which a new one was made.
        duplicates: files whose new file was there already, byte for byte.
        skipped: no images, links, devices.
        refused: files that were not written, the first 10,000 of them.
        reasons: how many files were refused, by code.
        masked: cleaned files in which burned-in text was covered.
        masked_px: pixels that were covered in them.
    """

    found: int
    cleaned: int
    duplicates: int
    skipped: int
    refused: tuple[Refusal, ...]
    reasons: dict[str, int]
    masked: int = 0
    masked_px: int = 0


@dataclass
class _Tally:
    """Counts while files come in."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    refused: list[Refusal] = field(default_factory=list)

    def refuse(self, refusal: Refusal) -> None:
        """Count a refusal; the list stays short."""
        self.reasons[refusal.code] += 1
        if len(self.refused) < MAX_LISTED:
            self.refused.append(refusal)


def deidentify_files(
    inp: Path, out: Path, key: bytes, progress: Progress = silent, *, settings: DeidentifySettings | None = None, executor: Executor | None = None
) -> DeidentifyReport:
    """Write a de-identified copy of every image at `inp` below the new folder `out`.

    Args:
        inp: a file or a folder; it is only read.
        out: a folder that is empty or not there yet, and not inside `inp`.
        key: secret of the pseudonyms; the same key gives the same names, so parts of a cohort can be done one by one.
        progress: told now and then.
        settings: what may stay.
        executor: where files are cleaned; none: here, one after the other.

    Raises:
        UsageError: `inp` is missing, or `out` may not be written to.
    """
    check_folders(inp, out)
    was_there = out.exists()
    (out / UNFINISHED).mkdir(parents=True)
    tally = _Tally()
    total = sum(1 for _ in walk(inp))
    try:
        for done, (found, answer) in enumerate(_answers(inp, out, key, settings or DeidentifySettings(), executor), start=1):
            _account(found, answer, out, tally)
            if done % FILES_A_JOB == 0 or done == total:
                progress(done, total, "de-identify")
    finally:
        shutil.rmtree(out / UNFINISHED, ignore_errors=True)
        if not was_there and not any(out.iterdir()):
            out.rmdir()
    counts = tally.counts
    return DeidentifyReport(
        found=counts["found"],
        cleaned=counts["cleaned"],
        duplicates=counts["duplicates"],
        skipped=counts["skipped"],
        refused=tuple(tally.refused),
        reasons=dict(sorted(tally.reasons.items())),
        masked=counts["masked"],
        masked_px=counts["masked_px"],
    )


def check_folders(inp: Path, out: Path) -> None:
    """Refuse folders that would overwrite something or find their own output.

    Raises:
        UsageError: always with the reason.
    """
    if not inp.exists():
        raise UsageError("the input does not exist")
    if out.resolve() == inp.resolve() or out.resolve().is_relative_to(inp.resolve()):
        raise UsageError("the output may not lie inside the input")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("the output must be an empty folder, or not exist yet")


def _answers(inp: Path, out: Path, key: bytes, settings: DeidentifySettings, executor: Executor | None) -> Iterator[tuple[Found, Answer]]:
    """Yield every entry with its answer, in the order of the walk; only so many are on their way at a time."""
    ahead: deque[tuple[list[Found], Job, Future[tuple[Answer, ...]] | None]] = deque()
    for number, batch in enumerate(_batches(walk(inp))):
        job = Job(number, tuple(found.real for found in batch if found.state == "file"), str(out), key, settings)
        ahead.append((batch, job, executor.submit(clean_files, job) if executor and job.paths else None))
        if executor is None or len(ahead) >= JOBS_AHEAD:
            yield from _finished(*ahead.popleft(), executor)
    while ahead:
        yield from _finished(*ahead.popleft(), executor)


def _batches(entries: Iterator[Found]) -> Iterator[list[Found]]:
    while batch := list(islice(entries, FILES_A_JOB)):
        yield batch


def _finished(batch: list[Found], job: Job, future: Future[tuple[Answer, ...]] | None, executor: Executor | None) -> Iterator[tuple[Found, Answer]]:
    """Yield the entries of a job with their answers; entries that are no files have none of their own."""
    answers = iter(_result(job, future, executor) if future and executor else clean_files(job))
    for found in batch:
        if found.state == "file":
            yield found, next(answers)
        else:
            yield found, Answer() if found.state in LINK_STATES else Answer(refusal=Refusal(name_of(Path(found.real)), "UNREADABLE", "it may not be read"))


def _result(job: Job, future: Future[tuple[Answer, ...]], executor: Executor) -> tuple[Answer, ...]:
    """Return the answers of a job; when it lost its worker, its files run again one by one, and the one that kills is named."""
    try:
        return future.result()
    except WorkerLostError as error:
        if len(job.paths) == 1:
            return (Answer(refusal=Refusal(name_of(Path(job.paths[0])), error.code, error.reason)),)
    parts = [job._replace(paths=(path,)) for path in job.paths]
    return tuple(answer for part in parts for answer in _result(part, executor.submit(clean_files, part), executor))


def _account(found: Found, answer: Answer, out: Path, tally: _Tally) -> None:
    """Move what was written to its place and count the file."""
    tally.counts["found"] += 1
    if answer.refusal is not None:
        tally.refuse(answer.refusal)
        return
    if not answer.written:
        tally.counts["skipped"] += 1
        return
    try:
        is_new = [settle(written, out) for written in answer.written]
    except ImageError as error:
        tally.refuse(Refusal(name_of(Path(found.real)), error.code, error.reason))
        return
    tally.counts["cleaned" if any(is_new) else "duplicates"] += 1
    if any(is_new):
        masked_px = sum(written.masked_px for written in answer.written)
        tally.counts["masked"] += masked_px > 0
        tally.counts["masked_px"] += masked_px
