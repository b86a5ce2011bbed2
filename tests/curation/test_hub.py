"""The hub: one sentence when it is not there, and when it has no such model."""

from __future__ import annotations

import pytest

from curation.errors import ServiceError, UsageError
from curation.hub import fetch_model


def test_an_unreachable_hub_is_a_service_error() -> None:
    """Exit code 3, not a traceback."""
    with pytest.raises(ServiceError) as caught:
        fetch_model("some.key", "nobody/no-such-model-at-all", ["*.json"], endpoint="http://127.0.0.1:9")
    assert caught.value.exit_code == 3


def test_what_is_no_id_is_wrong_use() -> None:
    """The sentence names the key and what stands there."""
    with pytest.raises(UsageError, match=r"some\.key.*'not an id at/all'"):
        fetch_model("some.key", "not an id at/all", ["*.json"])
