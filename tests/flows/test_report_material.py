"""What a version carries is read, what it should carry and has lost is an error, and nothing else is invented."""

from __future__ import annotations

from typing import Any, cast

import pytest

from curation.errors import IntegrityError
from curation.versions import Version
from flows.report.material import read_evidence


class Emptied:
    """A version whose release.json is there and whose other files are lost."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.release: dict[str, Any] = {"files": dict.fromkeys(names, "0" * 64)}

    def read_file(self, name: str) -> bytes:
        """Nothing is left."""
        raise IntegrityError(name, "is neither in the DVC cache nor in the remote")


def test_evidence_that_is_lost_is_not_shown_as_evidence_that_never_was() -> None:
    """A page without its verdicts would say that the court never sat."""
    version = cast(Version, Emptied(("evidence/lift.json",)))
    assert read_evidence(version, "review.json") == b""
    with pytest.raises(IntegrityError, match=r"evidence/lift\.json"):
        read_evidence(version, "lift.json")
