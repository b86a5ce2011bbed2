"""Run by the peers' Python: deid's default recipe on every DICOM file of a folder, written under the same relative path."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from deid.dicom import get_identifiers, replace_identifiers


def main(source: Path, output: Path) -> None:
    """De-identify all files; one that fails is named and left out."""
    for path in sorted(source.rglob("*.dcm")):
        target = output / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            replace_identifiers(dicom_files=[str(path)], ids=get_identifiers([str(path)]), save=True, output_folder=str(target.parent), overwrite=True)
        except Exception:  # another tool's faults are its own result
            print(path.relative_to(source), traceback.format_exc(limit=1))


main(Path(sys.argv[1]), Path(sys.argv[2]))
