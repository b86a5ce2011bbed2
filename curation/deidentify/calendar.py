"""Dates and times of one study, moved so that every interval stays and no calendar or clock of the hospital does.

Days move back by the patient's secret number. Every study begins at noon and a secret part of half an hour: a time is written at its distance from
the start of the study, so what decay, contrast or motion need is exact to the microsecond, and the hour of the visit is gone.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

from curation.dicom_fields import parse_date, text_of
from curation.pseudonyms import pseudonym, shift_date

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

NOON = time(12)
HALF_DAY, HALF_HOUR_US = timedelta(hours=12), 1_800_000_000
_CLOCK = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?")


class Calendar(NamedTuple):
    """When one study was, and whose; `began` is None when the study does not say its date and time."""

    key: bytes
    patient: str
    began: datetime | None

    def day(self, text: str, clock: str = "") -> str | None:
        """Return the date (YYYYMMDD) that stands for a date, given the time that belongs to it."""
        day, at = parse_date(text.strip()), parse_time(clock)
        if day is None:
            return None
        moved = self._moved(datetime.combine(day, at)) if at is not None else None
        return f"{moved or shift_date(self.key, self.patient, day):%Y%m%d}"

    def clock(self, text: str, day: str = "") -> str | None:
        """Return the time (HHMMSS.FFFFFF) that stands for a time, given the date that belongs to it, else the study's."""
        at, on = parse_time(text), parse_date(day.strip())
        if at is None or self.began is None:
            return None
        if on is None:
            on = self.began.date() + timedelta(days=_nearest_day(self.began, at))
        moved = self._moved(datetime.combine(on, at))
        return _written(moved) if moved else None

    def moment(self, text: str) -> str | None:
        """Return the date and time (YYYYMMDDHHMMSS.FFFFFF) that stand for both in one value."""
        day, at = parse_date(text[:8]), parse_time(re.split(r"[+-]", text[8:].strip())[0])
        moved = self._moved(datetime.combine(day, at)) if day and at else None
        return f"{moved:%Y%m%d}{_written(moved)}" if moved else None

    def _moved(self, moment: datetime) -> datetime | None:
        """Return a moment of the study that begins after noon of its moved day."""
        if self.began is None:
            return None
        late = timedelta(microseconds=int(pseudonym(self.key, "clock", self.patient), 16) % HALF_HOUR_US)
        return datetime.combine(shift_date(self.key, self.patient, self.began.date()), NOON) + late + (moment - self.began)


def calendar_of(dataset: Dataset, key: bytes, patient: str) -> Calendar:
    """Return the calendar of the study that a data set belongs to."""
    day, at = parse_date(text_of(dataset, "StudyDate")), parse_time(text_of(dataset, "StudyTime"))
    is_known = day is not None and at is not None and at != time(0)  # midnight to the second is what devices without a clock write
    return Calendar(key, patient, datetime.combine(day, at) if is_known and day and at else None)


def parse_time(text: str) -> time | None:
    """Return a DICOM time (HHMMSS.FFFFFF, the end may be missing), or None for one that no clock shows."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    hour, minute, second, fraction = int(match[1]), int(match[2] or 0), int(match[3] or 0), (match[4] or "").ljust(6, "0")
    return time(hour, minute, second, int(fraction)) if hour < 24 and minute < 60 and second < 60 else None


def _nearest_day(began: datetime, at: time) -> int:
    """Return on which day after the study's a time without a date lies: within twelve hours of the beginning."""
    distance = datetime.combine(date.min, at) - datetime.combine(date.min, began.time())
    return -1 if distance > HALF_DAY else 1 if distance < -HALF_DAY else 0


def _written(moment: datetime) -> str:
    return f"{moment:%H%M%S.%f}" if moment.microsecond else f"{moment:%H%M%S}"
