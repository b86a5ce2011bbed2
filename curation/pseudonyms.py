"""Keyed pseudonyms: the same input and key always give the same output, and nobody without the key can go back."""

from __future__ import annotations

import hashlib
import hmac
from datetime import date, timedelta

SHIFT_DAYS = 3650


def _digest(key: bytes, kind: str, value: str) -> bytes:
    return hmac.new(key, f"{kind}\0{value}".encode(), hashlib.sha256).digest()


def pseudonym(key: bytes, kind: str, value: str) -> str:
    """Return 20 hex digits for `value`; `kind` (e.g. `patient:hospital-a`) keeps name spaces apart."""
    return _digest(key, kind, value).hex()[:20]


def pseudonymous_uid(key: bytes, uid: str) -> str:
    """Return a DICOM UID under 2.25 (PS3.5 B.2) for `uid`: equal UIDs stay equal, so references hold."""
    return f"2.25.{int.from_bytes(_digest(key, 'uid', uid)[:16], 'big')}"


def shift_date(key: bytes, patient: str, day: date) -> date:
    """Return `day` moved back by 1 to 3650 days, the same for all dates of a patient, so that intervals are kept."""
    days = 1 + int.from_bytes(_digest(key, "date", patient)[:8], "big") % SHIFT_DAYS
    return day - timedelta(days=days)
