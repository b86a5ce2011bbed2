"""PET: the factor that turns stored values into standardized uptake values by body weight (SUVbw), or why there is none.

After the QIBA FDG-PET/CT profile's pseudo-code ("SUV, vendor-neutral"): the injected dose is decayed to the time that the voxels were decayed to.
Nothing is guessed: when an element is missing or impossible, the values stay what they were, and a note says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from curation.dicom_fields import text_of
from curation.records import ValueUnit

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

WEIGHT_RANGE_KG = (0.2, 500.0)
DOSE_RANGE_BQ = (1e4, 1e11)
LONGEST_UPTAKE_S = 24 * 3600.0
PHILIPS = (0x7053, "Philips PET Private Group", 0x00)


class Uptake(NamedTuple):
    """What a stored value, after its rescale, is multiplied with, what it means then, and why it is no SUV."""

    factor: float
    unit: ValueUnit
    notes: tuple[str, ...] = ()


class _NoSuvError(Exception):
    """Why there is no SUV: a code."""


def uptake_of(datasets: Sequence[Dataset]) -> Uptake:
    """Return how the values of a PET volume become SUV.

    Notes: SUV_UNITS (counts without the maker's factor), SUV_CORRECTION (not corrected for attenuation and decay), SUV_WEIGHT, SUV_DOSE, SUV_HALF_LIFE,
    SUV_TIME (missing or impossible), SUV_DIFFERS (files of the volume disagree), SUV_BODY_MEASURE (in g/ml, but not by weight).

    Args:
        datasets: headers of all files of the volume.
    """
    units = {text_of(dataset, "Units").upper() for dataset in datasets}
    unit: ValueUnit = "Bq/ml" if units == {"BQML"} else "counts"
    try:
        return Uptake(_factor(datasets, units), "SUV")
    except _NoSuvError as reason:
        return Uptake(1.0, unit, (str(reason),))


def _factor(datasets: Sequence[Dataset], units: set[str]) -> float:
    if units == {"GML"}:
        if {text_of(dataset, "SUVType").upper() for dataset in datasets} - {"", "BW"}:
            raise _NoSuvError("SUV_BODY_MEASURE")
        return 1.0
    if units == {"CNTS"}:
        return _same([_philips_factor(dataset) for dataset in datasets])
    if units != {"BQML"}:
        raise _NoSuvError("SUV_UNITS")
    for dataset in datasets:
        corrected = {str(word).upper() for word in _words(dataset, "CorrectedImage")}
        if not {"ATTN", "DECY"} <= corrected:
            raise _NoSuvError("SUV_CORRECTION")
    weight_kg = _same([_number(dataset.get("PatientWeight"), WEIGHT_RANGE_KG, "SUV_WEIGHT") for dataset in datasets])
    return weight_kg * 1000 / _decayed_dose_bq(datasets)


def _words(dataset: Dataset, name: str) -> list[str]:
    value = dataset.get(name) or ()
    return [value] if isinstance(value, str) else list(value)


def _number(value: object, allowed: tuple[float, float], code: str) -> float:
    try:
        number = float(str(value))
    except ValueError:
        raise _NoSuvError(code) from None
    if not allowed[0] <= number <= allowed[1]:
        raise _NoSuvError(code)
    return number


def _same(numbers: list[float]) -> float:
    """Return the number that all files say."""
    if not np.allclose(numbers, numbers[0], rtol=1e-6):
        raise _NoSuvError("SUV_DIFFERS")
    return numbers[0]


def _philips_factor(dataset: Dataset) -> float:
    """Return Philips' own SUV factor."""
    group, creator, offset = PHILIPS
    try:
        value = dataset.private_block(group, creator)[offset].value
    except KeyError:
        raise _NoSuvError("SUV_UNITS") from None
    return _number(value, (1e-12, 1e12), "SUV_UNITS")


def _decayed_dose_bq(datasets: Sequence[Dataset]) -> float:
    """Return the injected activity at the time that the voxels were decayed to: of the injection, or of the scan's begin."""
    tracers = [(dataset.get("RadiopharmaceuticalInformationSequence") or [None])[0] for dataset in datasets]
    if None in tracers:
        raise _NoSuvError("SUV_DOSE")
    dose_bq = _same([_number(tracer.get("RadionuclideTotalDose"), DOSE_RANGE_BQ, "SUV_DOSE") for tracer in tracers])
    references = {text_of(dataset, "DecayCorrection").upper() for dataset in datasets}
    if references == {"ADMIN"}:
        return dose_bq
    if references != {"START"}:
        raise _NoSuvError("SUV_CORRECTION")
    half_life_s = _same([_number(tracer.get("RadionuclideHalfLife"), (1.0, 1e9), "SUV_HALF_LIFE") for tracer in tracers])
    slices = [moment for moment in map(_acquired, datasets) if moment is not None]
    uptake_s = _same([_uptake_s(dataset, tracer, min(slices, default=None)) for dataset, tracer in zip(datasets, tracers, strict=True)])
    return float(dose_bq * 2 ** (-uptake_s / half_life_s))


def _uptake_s(dataset: Dataset, tracer: Dataset, first_slice: datetime | None) -> float:
    """Return the seconds between injection and scan: the series' time if no slice was acquired before it, else the first slice's."""
    series = _moment(text_of(dataset, "SeriesDate"), text_of(dataset, "SeriesTime"))
    if series is None or first_slice is None:
        raise _NoSuvError("SUV_TIME")
    scan = min(series, first_slice)
    injected = _parse(text_of(tracer, "RadiopharmaceuticalStartDateTime")[:14])
    if injected is None:
        injected = _moment(scan.strftime("%Y%m%d"), text_of(tracer, "RadiopharmaceuticalStartTime"))
        if injected is not None and injected > scan:
            injected -= timedelta(days=1)  # injected before midnight
    if injected is None or not 0 <= (scan - injected).total_seconds() <= LONGEST_UPTAKE_S:
        raise _NoSuvError("SUV_TIME")
    return (scan - injected).total_seconds()


def _acquired(dataset: Dataset) -> datetime | None:
    return _moment(text_of(dataset, "AcquisitionDate", "SeriesDate"), text_of(dataset, "AcquisitionTime"))


def _moment(date: str, time: str) -> datetime | None:
    whole, _, fraction = time.replace(":", "").partition(".")
    if len(whole) not in (2, 4, 6):
        return None
    start = _parse(date.replace(".", "") + whole.ljust(6, "0"))
    return start + timedelta(seconds=float(f"0.{fraction}")) if start is not None and fraction.isdigit() else start


def _parse(text: str) -> datetime | None:
    """Return year to second, or None for what no calendar has."""
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S")
    except ValueError:
        return None
