"""Models of the Hugging Face hub, by their id: the one place that fetches them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curation.errors import ServiceError, UsageError


def fetch_model(key: str, hub_id: str, files: Sequence[str], unwanted: Sequence[str] = (), revision: str | None = None, endpoint: str | None = None) -> Path:
    """Return the local folder of a repository, fetched when it is not in the local cache.

    Args:
        key: of the recipe, for errors.
        hub_id: `owner/name`.
        files: patterns of what is fetched: name weights as safetensors only, and nothing that is code.
        unwanted: patterns of what is not, although `files` would take it.
        revision: branch, tag or commit; None is the newest.
        endpoint: of another hub.

    Raises:
        UsageError: the hub has no such repository, or does not give it to this account.
        ServiceError: the hub could not be reached and the files are not in the local cache.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, IncompleteSnapshotError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        found = snapshot_download(hub_id, revision=revision, allow_patterns=list(files), ignore_patterns=list(unwanted), endpoint=endpoint, etag_timeout=5)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UsageError(f"{key}: the hub has no model {hub_id!r}, or it is gated; there is no such folder either") from error
    except (LocalEntryNotFoundError, IncompleteSnapshotError, HfHubHTTPError, OSError) as error:
        raise ServiceError("Hugging Face hub", endpoint or "huggingface.co", f"{hub_id} could not be fetched and is not in the local cache") from error
    return Path(found)
