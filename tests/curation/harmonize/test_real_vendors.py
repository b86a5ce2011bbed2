"""Intensity scales on real volumes of three MR vendors."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mr_scales import SCALES, measure, read_volumes

DATA = Path(__file__).parents[4] / "shared" / "data" / "dicom"


@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real images at {DATA}")
def test_vendors_come_together_step_by_step() -> None:
    """Plain, robust z, robust z of the body, Nyúl: each brings GE, Siemens and Philips closer."""
    volumes = read_volumes(DATA)
    assert set(volumes) == {"GE", "Siemens", "Philips"}
    plain, z, body, nyul, _ = (measure(volumes, options) for options in SCALES.values())
    assert plain > z > body > nyul
    assert nyul < 0.2
