"""The peers' operations, run by the interpreter of `.venv-peers`; it imports nothing of this project. Prints one line of JSON, as `probes` does."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def measured(operation: Callable[[], Any], began_s: float) -> dict[str, float]:
    """Run `operation` and return what it cost."""
    before, wall = sum(os.times()[:4]), time.perf_counter()
    operation()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": sum(os.times()[:4]) - before, "wall_s": time.perf_counter() - wall, "import_s": before - began_s, "peak_mb": peak}


def monai(folder: str, out: str) -> dict[str, float]:
    """Read a CT series, turn it to RAS, resample to 1 mm, scale, save as .nii (the chain of MONAI's tutorials)."""
    began = sum(os.times()[:4])
    import torch
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Orientation, SaveImage, ScaleIntensityRange, Spacing  # type: ignore[import-not-found]

    torch.set_num_threads(1)
    chain = Compose([
        LoadImage(image_only=True), EnsureChannelFirst(), Orientation(axcodes="RAS", labels=(("L", "R"), ("P", "A"), ("I", "S"))),
        Spacing(pixdim=(1.0, 1.0, 1.0), mode="bilinear"), ScaleIntensityRange(-1024, 3071, 0, 1, clip=True),
        SaveImage(output_dir=out, output_ext=".nii", print_log=False, separate_folder=False),
    ])  # fmt: skip
    return measured(lambda: chain(folder), began)


def cleanvision(folder: str) -> dict[str, float]:
    """Scan a folder for all issues with one process."""
    began = sum(os.times()[:4])
    from cleanvision import Imagelab  # type: ignore[import-not-found]

    return measured(lambda: Imagelab(data_path=folder, verbose=False).find_issues(n_jobs=1, verbose=False), began)


def dicom_anonymizer(folder: str, out: str) -> dict[str, float]:
    """Anonymize every file of a folder."""
    began = sum(os.times()[:4])
    from dicomanonymizer import anonymize_dicom_file  # type: ignore[import-not-found]

    Path(out).mkdir(parents=True)
    return measured(lambda: [anonymize_dicom_file(str(path), str(Path(out) / path.name)) for path in sorted(Path(folder).iterdir())], began)


def dicognito(folder: str, out: str) -> dict[str, float]:
    """Anonymize every file of a folder."""
    began = sum(os.times()[:4])
    import pydicom
    from dicognito.anonymizer import Anonymizer  # type: ignore[import-not-found]

    Path(out).mkdir(parents=True)

    def clean() -> None:
        anonymizer = Anonymizer()
        for path in sorted(Path(folder).iterdir()):
            dataset = pydicom.dcmread(path)
            anonymizer.anonymize(dataset)
            dataset.save_as(Path(out) / path.name)

    return measured(clean, began)


def deid(folder: str, out: str) -> dict[str, float]:
    """Replace identifiers by deid's default recipe."""
    began = sum(os.times()[:4])
    from deid.dicom import get_identifiers, replace_identifiers  # type: ignore[import-not-found]

    Path(out).mkdir(parents=True)

    def clean() -> None:
        for path in sorted(Path(folder).iterdir()):
            replace_identifiers(dicom_files=[str(path)], ids=get_identifiers([str(path)]), save=True, output_folder=out, overwrite=True)

    return measured(clean, began)


PROBES: dict[str, Callable[..., dict[str, float]]] = {
    "monai": monai,
    "cleanvision": cleanvision,
    "dicom-anonymizer": dicom_anonymizer,
    "dicognito": dicognito,
    "deid": deid,
}

if __name__ == "__main__":
    print("\n" + json.dumps(PROBES[sys.argv[1]](*sys.argv[2:])))
