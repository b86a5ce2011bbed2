"""How far apart do MR vendors lie, on each intensity scale? Real volumes of GE, Siemens and Philips.

    python -m benchmarks.mr_scales ../shared/data/dicom

For each scale: the percentiles 10, 25, 50, 75, 90 of each volume's body, averaged by vendor; their standard deviation over the vendors, averaged over the
percentiles, in units of the mean interquartile range of a volume. 0: the vendors agree. The sets hold five people, one vendor each, so that no probe can
be tested on held-out patients: this measures agreement of scales, not whether anything is learned better. Nyúl is fitted without the vendor it is applied to.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from curation.dicom import read_series
from curation.harmonize.foreground import find_foreground
from curation.harmonize.mr import scale_intensity
from curation.harmonize.nyul import Points, fit_nyul, landmarks_of
from curation.harmonize.orientation import reorient_to_ras
from curation.recipe import MrSettings

FOLDERS = ("mr-ge-fmri/mr_0004", "mr-siemens-mosaic/mr_0003", "mr-enhanced/Siemens/XA10", "mr-enhanced/Philips")
PERCENTILES = (10, 25, 50, 75, 90)
MOST_VOLUMES = 6
KEY = b"benchmark, no secret" * 2
SCALES = {
    "plain (darkest to brightest)": {"intensity": "min_max"},
    "robust z, brighter than the mean": {"intensity": "robust_z"},
    "robust z, body": {"intensity": "robust_z", "foreground": "body"},
    "Nyúl, body": {"intensity": "nyul", "foreground": "body"},
    "WhiteStripe, brain": {"intensity": "white_stripe", "foreground": "brain", "white_matter_peak": "largest"},
}


def read_volumes(root: Path) -> dict[str, list[tuple[np.ndarray, tuple[float, ...]]]]:
    """Return upright volumes with their spacing, by vendor."""
    found: dict[str, list[tuple[np.ndarray, tuple[float, ...]]]] = {}
    for name in FOLDERS:
        by_series = read_series(sorted(path for path in (root / name).rglob("*") if path.is_file()), KEY)
        for image in by_series.images[:MOST_VOLUMES]:
            if image.affine is not None and image.pixels.ndim == 3 and image.spacing_mm is not None:
                volume, _ = reorient_to_ras(image.pixels, image.affine)
                found.setdefault(str(image.fields.get("manufacturer")), []).append((volume, tuple(image.spacing_mm)))
    return found


def fit_without(vendor: str, volumes: dict[str, list[tuple[np.ndarray, tuple[float, ...]]]]) -> Points:
    """Return Nyúl's points from the other vendors' volumes."""
    scaled = [scale_intensity(v, mm, MrSettings(foreground="body", clip_z=100)) for name, own in volumes.items() if name != vendor for v, mm in own]
    return fit_nyul(landmarks_of(z[find_foreground(z, "body", (1.0, 1.0, 1.0))]) for z in scaled)


def measure(volumes: dict[str, list[tuple[np.ndarray, tuple[float, ...]]]], options: dict[str, str]) -> float:
    """Return how far apart the vendors lie."""
    by_vendor, widths = [], []
    for vendor, own in volumes.items():
        points = fit_without(vendor, volumes) if options["intensity"] == "nyul" else ()
        settings = MrSettings.model_validate({**options, "nyul": points, "clip_z": 1000.0})
        found = []
        for volume, spacing_mm in own:
            values = scale_intensity(volume, spacing_mm, settings)[find_foreground(volume, "body", spacing_mm)]
            found.append(np.percentile(values, PERCENTILES))
            widths.append(found[-1][3] - found[-1][1])
        by_vendor.append(np.mean(found, axis=0))
    return float(np.std(by_vendor, axis=0).mean() / np.mean(widths))


def main(root: Path) -> None:
    """Print one line a scale."""
    volumes = read_volumes(root)
    print(", ".join(f"{vendor}: {len(own)} volumes" for vendor, own in volumes.items()))
    for name, options in SCALES.items():
        print(f"{name:34} {measure(volumes, options):.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
