"""The reader of text: RapidOCR, whose models (PP-OCRv4, ONNX) come inside its package, so nothing is fetched.

It is loaded once a process and uses one thread.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.uint8]

LONG_SIDE_PX = (512, 1280)
MOST_ENLARGED = 4.0
MARGIN_PX = 24
LEAST_CONFIDENCE = 0.35
SIDE_MARKERS = frozenset({"L", "R", "LT", "RT", "AP", "PA", "LL", "RL", "LAT", "DX", "SN", "SX"})


class Line(NamedTuple):
    """One line that was read: the text, how sure the reader is in [0, 1], and its corners `(4, 2)` float32, x and y in px."""

    text: str
    confidence: float
    corners: npt.NDArray[np.float32]


@cache
def _engine() -> Any:
    """Return the reader of this process. Importing and loading it takes about a second."""
    from rapidocr_onnxruntime import RapidOCR

    return RapidOCR(
        intra_op_num_threads=1, inter_op_num_threads=1, text_score=LEAST_CONFIDENCE, max_side_len=4096,
        det_limit_side_len=32, det_limit_type="min",
    )  # fmt: skip


def read_lines(image: Gray, scale: float | None = None) -> list[Line]:
    """Return every line of text in an image, also what is surely none; `is_text` tells.

    Args:
        image: `(H, W)` gray or `(H, W, 3)` RGB, uint8.
        scale: enlarge (or, below 1, shrink) it before; by default so that the longer side has 512 to 1280 px.
    """
    import cv2

    scale = scale or _scale_of(image)
    sized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC) if scale != 1 else image
    framed = cv2.copyMakeBorder(sized, MARGIN_PX, MARGIN_PX, MARGIN_PX, MARGIN_PX, cv2.BORDER_CONSTANT, value=_border_of(image))
    bgr = cv2.cvtColor(framed, cv2.COLOR_GRAY2BGR if framed.ndim == 2 else cv2.COLOR_RGB2BGR)
    found = _run(bgr)
    return [Line(text, float(confidence), (np.asarray(corners, np.float32) - MARGIN_PX) / np.float32(scale)) for corners, text, confidence in found]


def _run(bgr: npt.NDArray[Any]) -> list[Any]:
    """Return corners, text and confidence of every line; what the engine raises is turned into what a worker expects.

    Raises:
        MemoryError: the engine gets no memory.
        RuntimeError: it fails otherwise.
    """
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException
    from rapidocr_onnxruntime.utils.infer_engine import ONNXRuntimeError

    try:
        found, _ = _engine()(bgr)
    except (ONNXRuntimeError, Fail, RuntimeException) as error:
        if "alloc" in str(error):
            raise MemoryError from None
        raise RuntimeError("the reader of letters failed") from None
    return found or []


def _scale_of(image: Gray) -> float:
    least, most = LONG_SIDE_PX
    longer = max(image.shape[:2])
    return min(1.0, most / longer) if longer >= least else min(MOST_ENLARGED, least / longer)


def _border_of(image: Gray) -> list[float]:
    """Return the median of the outermost pixels, so that text at the edge is not cut by a line."""
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return [float(number) for number in np.atleast_1d(np.median(edge, axis=0))]


def is_text(line: Line) -> bool:
    """Say whether a line is text that could name somebody: three letters or digits or more.

    Tissue is sometimes read as one or two characters (two ventricles are an 11), or as more with little confidence; marks of side and view are no identity.
    """
    letters = _letters(line)
    return letters not in SIDE_MARKERS and line.confidence >= {0: 2.0, 1: 2.0, 2: 2.0, 3: 0.75}.get(len(letters), 0.4)


def is_fragment(line: Line) -> bool:
    """Say whether a line of two characters is text where there is other text, too."""
    letters = _letters(line)
    return letters not in SIDE_MARKERS and len(letters) == 2 and line.confidence >= 0.85


def _letters(line: Line) -> str:
    return "".join(c for c in line.text if c.isalnum()).upper()
