"""The JSON beside a BIDS image: device, site and body part, by the same rules as a DICOM header. No text of it is ever copied."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from curation.dicom_fields import BODY_PARTS, known_maker, one_of
from curation.errors import ImageError
from curation.pseudonyms import pseudonym

MAX_BYTES = 4 << 20
MAX_TESLA = 30.0


def read_sidecar(content: bytes, secret: bytes) -> dict[str, Any]:
    """Return manufacturer, model_name, site and body_part, and `attributes` with the field strength; what is not on a list becomes a pseudonym or is dropped.

    Raises:
        ImageError: SIDECAR_DAMAGED, it is not one strict JSON object (keys twice, NaN, too deep, too large, no UTF-8).
    """
    said = _parse(content)
    model, site = (str(said.get(name) or "").strip() for name in ("ManufacturersModelName", "InstitutionName"))
    found = {
        "manufacturer": known_maker(str(said.get("Manufacturer") or "")),
        "body_part": one_of(re.sub(r"[\s_,-]", "", str(said.get("BodyPartExamined") or "")), BODY_PARTS),
        "model_name": f"model-{pseudonym(secret, 'model', model)[:8]}" if model else None,
        "site": f"site-{pseudonym(secret, 'site', site)[:8]}" if site else None,
    }
    tesla = said.get("MagneticFieldStrength")
    if isinstance(tesla, int | float) and not isinstance(tesla, bool) and math.isfinite(tesla) and 0 < tesla < MAX_TESLA:
        found["attributes"] = json.dumps({"magnetic_field_t": round(float(tesla), 2)})
    return {name: value for name, value in found.items() if value is not None}


def _parse(content: bytes) -> dict[str, Any]:
    if len(content) > MAX_BYTES:
        raise ImageError("SIDECAR_DAMAGED", "the JSON beside the image has more than 4 MiB")
    try:
        said = json.loads(content.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise ImageError("SIDECAR_DAMAGED", "the file beside the image is not one strict JSON object")
    return said


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)
