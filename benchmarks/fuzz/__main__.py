"""`python -m benchmarks.fuzz --files 10000`: damage, read, print a table, exit 1 on a finding.

A finding is an exception that is no code, a dead or hanging worker, more than 5 s of CPU or 1 GiB, planted names in what `curaloop deidentify` wrote, or
pixels that differ from the original although nothing that they hang on was hit, or although the file was only cut. What no reader can notice is no finding:
a change of uncompressed pixels, JPEG or NIfTI voxels, or of geometry, that leaves a valid file (`benchmarks/fuzz/readings.py`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from itertools import count, islice
from pathlib import Path

from rich.console import Console

from benchmarks.fuzz.bases import make_bases
from benchmarks.fuzz.probes import GROWN_MB, SECONDS, Answer, Mutant, probe
from curation.errors import WorkerLostError
from flows.console import table
from flows.executors import CappedPool, Caps

CAPS = Caps(seconds=30, memory_bytes=3 << 30)
"""Wall time is short enough to notice a worker that hangs, and long enough for a busy machine; CPU time is measured besides."""
SLOW_SECONDS, SELDOM = 0.1, 40
"""Files that take long even when they are sound, because letters are looked for in large pictures, have fewer mutants."""


def main() -> int:
    """Run all mutants, or the one that `--mutant` names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=1, help="number of the first mutant of every base; other numbers, other mutants")
    parser.add_argument("--mutant", help="one mutant, e.g. 'a.zip#17'")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, CappedPool(1, CAPS) as pool:
        bases = make_bases(Path(temporary))
        scratch = Path(temporary) / "mutant"
        sound = {base.name: answer for base, answer in zip(bases, _ask(pool, [Mutant(base, 0, scratch) for base in bases]), strict=True)}
        slow = {name for name, answer in sound.items() if isinstance(answer, str) or answer.seconds > SLOW_SECONDS}
        endless = (Mutant(base, number, scratch) for number in count(chosen.first) for base in bases if base.name not in slow or number % SELDOM == 0)
        wanted = list(islice(endless, chosen.files))
        if chosen.mutant:
            name, _, number = chosen.mutant.rpartition("#")
            wanted = [Mutant(base, int(number), scratch) for base in bases if base.name == name]
        answers = list(_ask(pool, wanted))
    return _report(answers, sound)


def _ask(pool: CappedPool, mutants: list[Mutant]) -> Iterable[Answer | str]:
    """Yield the answers in order; a text, which is told at once, when there is none."""
    futures = [pool.submit(probe, mutant) for mutant in mutants]
    for mutant, future in zip(mutants, futures, strict=True):
        try:
            yield future.result()
        except Exception as error:  # whatever it is: this is what is looked for
            text = f"{_name(mutant)}: {error.code if isinstance(error, WorkerLostError) else repr(error)}"
            print(text, file=sys.stderr, flush=True)
            yield text


def _name(mutant: Mutant) -> str:
    return f"{mutant.base.name}#{mutant.number}"


def findings_of(answer: Answer, sound: Answer) -> list[str]:
    """Return what is wrong with an answer."""
    found = []
    if answer.grown_mb > GROWN_MB or "MEMORY" in (answer.outcome, answer.cleaned):
        found.append(f"{answer.grown_mb} MB")
    if answer.seconds > SECONDS:
        found.append(f"{answer.seconds:.1f} s")
    if answer.leaks:
        found.append(f"leaks {', '.join(answer.leaks)}")
    if answer.outcome == "kept" and sound.outcome == "kept" and not answer.images <= sound.images and (answer.is_same or answer.mutation == "cut"):
        found.append("other pixels")
    return [f"{_name(answer.mutant)} ({answer.mutation}): {what}" for what in found]


def _report(answers: list[Answer | str], sound: dict[str, Answer | str]) -> int:
    """Print the table and the findings."""
    findings = [answer for answer in (*sound.values(), *answers) if isinstance(answer, str)]
    told = [answer for answer in answers if isinstance(answer, Answer)]
    rows = []
    for kind in ("dicom", "nifti", "raster", "archive"):
        for mutation in sorted({answer.mutation for answer in told}):
            group = [answer for answer in told if answer.mutant.base.kind == kind and answer.mutation == mutation]
            rows.append(_row(kind, mutation, group, sound))
    for answer in told:
        reference = sound[answer.mutant.base.name]
        if isinstance(reference, Answer):
            findings += findings_of(answer, reference)
    heads = ("kind", "mutation", "files", "kept", "same pixels", "written by deidentify", "reader failed", "slowest, CPU s", "most, MB")
    Console(width=160).print(table(f"{len(answers)} damaged files of {len(sound)} sound ones", rows, *heads))
    codes = Counter(answer.outcome for answer in told)
    print(", ".join(f"{code} {count}" for code, count in codes.most_common()))
    print(f"{len(findings)} findings", *findings, sep="\n")
    return int(bool(findings))


def _row(kind: str, mutation: str, group: list[Answer], sound: dict[str, Answer | str]) -> tuple[object, ...]:
    kept = [answer for answer in group if answer.outcome == "kept"]
    same = sum(isinstance(was := sound[answer.mutant.base.name], Answer) and answer.images == was.images for answer in kept)
    failed = sum("READER_FAILED" in (answer.outcome, answer.cleaned) for answer in group)
    written = sum(answer.cleaned == "written" for answer in group)
    return (
        kind,
        mutation,
        len(group),
        len(kept),
        same,
        written,
        failed,
        round(max((answer.seconds for answer in group), default=0), 2),
        max((answer.grown_mb for answer in group), default=0),
    )


if __name__ == "__main__":
    sys.exit(main())
