"""Models of the Hugging Face hub, by their id: the one place that fetches them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curation.errors import ServiceError, UsageError

PATIENCE_S = 10.0
"""How long the hub may take to answer at first; its own client would wait for ever."""


def fetch_model(
    key: str,
    hub_id: str,
    files: Sequence[str],
    unwanted: Sequence[str] = (),
    revision: str | None = None,
    endpoint: str | None = None,
    patience_s: float = PATIENCE_S,
) -> Path:
    """Return the local folder of a repository, fetched when it is not in the local cache.

    Args:
        key: of the recipe, for errors.
        hub_id: `owner/name`.
        files: patterns of what is fetched: name weights as safetensors only, and nothing that is code.
        unwanted: patterns of what is not, although `files` would take it.
        revision: branch, tag or commit; None is the newest.
        endpoint: of another hub.
        patience_s: how long it may take to say that it is there.

    Raises:
        UsageError: the hub has no such repository or revision, or does not give it to this account.
        ServiceError: the hub could not be reached and the files are not in the local cache.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        local = not _answers(hub_id, revision, endpoint, patience_s)
        found = snapshot_download(
            hub_id, revision=revision, allow_patterns=list(files), ignore_patterns=list(unwanted), endpoint=endpoint, local_files_only=local
        )
    except RevisionNotFoundError as error:
        raise UsageError(f"{key}: the hub's model {hub_id!r} has no revision {revision!r}: name a branch, tag or commit of it") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UsageError(f"{key}: the hub has no model {hub_id!r}, or it is gated; there is no such folder either") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason = f"{hub_id} could not be fetched and is not in the local cache; without a network, name the folder of a copy in {key}"
        raise ServiceError("Hugging Face hub", endpoint or "huggingface.co", reason) from error
    return Path(found)


def _answers(hub_id: str, revision: str | None, endpoint: str | None, patience_s: float) -> bool:
    """Return whether the hub says anything in time, be it that it has no such model."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled  # type: ignore[attr-defined]  # of the library that the hub asks with

    try:
        HfApi(endpoint=endpoint).repo_info(hub_id, revision=revision, timeout=patience_s)
    except HfHubHTTPError:
        return True
    except (HTTPError, OfflineModeIsEnabled):
        return False
    return True
