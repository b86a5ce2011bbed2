"""`python -m benchmarks.leaks`: plant, run every tool, search, print the table, write JSON, exit 1 when ours leaks, breaks or loses anything."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks.leaks.planting import plant_all
from benchmarks.leaks.search import Findings, search
from benchmarks.leaks.tools import PEERS, TOOLS
from flows.console import table


def main() -> int:
    """Run all tools, or those named on the command line."""
    if not PEERS.exists():
        print("the peers are not installed: run `make .venv-peers/ready` first", file=sys.stderr)
        return 2
    names = sys.argv[1:] or list(TOOLS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "in").mkdir()
        plants = plant_all(folder / "in")
        (folder / "key").write_text("0123456789abcdef" * 4)
        (folder / "key").chmod(0o600)
        os.environ["CURALOOP_KEY_FILE"] = str(folder / "key")
        findings, seconds = {}, {}
        for name in names:
            (folder / name).mkdir()
            run = TOOLS[name](folder / "in", folder / name)
            findings[name], seconds[name] = search(folder / "in", folder / name, run.log, plants), run.cpu_s
    _show(findings, seconds, Counter(plant.kind for plant in plants))
    _write(findings, seconds)
    ours = findings.get("curaloop")
    return int(ours is not None and bool(ours.leaks or ours.broken or ours.damaged or ours.references[0] != ours.references[1]))


def _show(findings: dict[str, Findings], seconds: dict[str, float], planted: Counter[str]) -> None:
    kinds = sorted(planted, key=lambda kind: -planted[kind])
    rows = []
    for name, found in findings.items():
        leaked = Counter(plant.kind for plant in found.leaks)
        rows.append(
            (name, len(found.leaks), *(leaked[kind] for kind in kinds), len(found.refused), len(found.broken), found.damaged,
             f"{found.references[1]}/{found.references[0]}", round(seconds[name], 1))
        )  # fmt: skip
    heads = ("tool", f"leaks /{sum(planted.values())}", *(f"{kind} /{planted[kind]}" for kind in kinds), "refused", "broken", "damaged", "references", "CPU s")
    Console(width=200).print(table("Leak test", rows, *heads))


def _write(findings: dict[str, Findings], seconds: dict[str, float]) -> None:
    folder = Path(__file__).parents[1] / "results"
    folder.mkdir(exist_ok=True)
    content = {
        name: {
            "leaks": [f"{plant.place} [{plant.file}]" for plant in found.leaks], "planted": found.planted, "images": found.images, "refused": found.refused,
            "broken": found.broken, "damaged": found.damaged, "references": found.references, "cpu_s": round(seconds[name], 2),
        }
        for name, found in findings.items()
    }  # fmt: skip
    (folder / f"leaks-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json").write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    sys.exit(main())
