"""A PACS over DICOMweb: studies are looked for with QIDO-RS, their instances fetched with WADO-RS into a folder that is then read like any other.

What is in the folder is not fetched again, so a run that was stopped by whatever goes on where it ended. Names are keyed hashes, never UIDs. Bytes are
stored as they come; nothing of them is parsed here. No message holds a UID: the addresses that `requests` quotes do.
"""

from __future__ import annotations

import fnmatch
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from curation.errors import ServiceError, SourceError, UsageError
from curation.progress import Progress
from curation.pseudonyms import pseudonym
from curation.recipe import SourceSettings
from curation.sources.asking import BUSY, NO_ENTRY, USUAL, Patience, ask_again, say_status, status_of
from curation.sources.multipart import HEAD_BYTES, instance_uid, split_parts
from curation.sources.walk import PARTIAL

if TYPE_CHECKING:
    import requests
    from dicomweb_client.web import DICOMwebClient

T = TypeVar("T")
PAGE = 200
CONNECTIONS = 4
TIMEOUT_S = 60.0
MAX_FILE_BYTES = 4 << 30
COPY_BYTES = 1 << 20
STUDY, SERIES, INSTANCE, DATE, MODALITY = "0020000D", "0020000E", "00080018", "00080020", "00080060"
STUDY_DESCRIPTION, SERIES_DESCRIPTION = "00081030", "0008103E"


@dataclass(frozen=True)
class Fetched:
    """What one visit brought.

    Attributes:
        listed: instances that the server has for the recipe's filter.
        fetched: of these, those that came now.
        missing: names of files that the server lists but does not give.
    """

    listed: int
    fetched: int
    missing: tuple[str, ...]


class _NotGiven(Exception):  # noqa: N818 - it never leaves this module
    """The server has its reasons not to give one instance, or not to say what a series holds."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(status)
        self.status = status


def fetch(source: SourceSettings, folder: Path, secret: bytes, progress: Progress, patience: Patience = USUAL) -> Fetched:
    """Bring every instance that matches the recipe, and is not there yet, into `folder`.

    Raises:
        SourceError: an environment variable that the recipe names is not set.
        UsageError: the folder cannot be written.
        ServiceError: the server cannot be reached, refuses the login, or does not speak DICOMweb. What was fetched stays.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for partial in folder.rglob(f"*{PARTIAL}"):
        partial.unlink()
    session = _open_session(source)
    visit = _Visit(source, folder, secret, session, _open_client(source, session), patience)
    for library in ("dicomweb_client", "urllib3"):  # they log addresses, and so UIDs
        logging.getLogger(library).setLevel(logging.CRITICAL)
    listed = present = fetched = 0
    missing: list[str] = []
    try:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for wanted in visit.find_series():
                listed += len(wanted)
                absent = [place for place in wanted if not place.path.exists()]
                present += len(wanted) - len(absent)
                if len(absent) == len(wanted) > 1:
                    for _ in visit.bring_series(absent):
                        fetched += 1
                        progress(present + fetched + len(missing), listed, f"fetching {source.name}")
                    absent = [place for place in absent if not place.path.exists()]
                for place, came in zip(absent, pool.map(visit.bring, absent), strict=True):
                    fetched += came
                    missing += [] if came else [place.path.relative_to(folder).as_posix()]
                    progress(present + fetched + len(missing), listed, f"fetching {source.name}")
    finally:
        session.close()
    return Fetched(listed, fetched, tuple(missing))


def _open_session(source: SourceSettings) -> requests.Session:
    import requests

    session = requests.Session()
    if source.token_env:
        session.headers["Authorization"] = f"Bearer {_read_variable(source, 'token_env', source.token_env)}"
    if source.user_env and source.password_env:
        session.auth = (_read_variable(source, "user_env", source.user_env), _read_variable(source, "password_env", source.password_env))
    return session


def _open_client(source: SourceSettings, session: requests.Session) -> DICOMwebClient:
    from dicomweb_client.web import DICOMwebClient

    client = DICOMwebClient((source.url or "").rstrip("/"), session=session, timeout=TIMEOUT_S, permissive_uid=True)
    client.set_http_retry_params(retry=False)  # `_Visit.ask` asks again, also when an answer breaks off
    return client


def _read_variable(source: SourceSettings, key: str, name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SourceError(source.name, key, f"the environment variable {name} is not set")
    return value


@dataclass(frozen=True)
class _Place:
    """One instance: its address below the service (empty: the server does not tell), where it is stored, and its UID."""

    address: str
    path: Path
    uid: str = ""


@dataclass(frozen=True)
class _Visit:
    source: SourceSettings
    folder: Path
    secret: bytes
    session: requests.Session
    client: DICOMwebClient
    patience: Patience

    def find_series(self) -> Iterator[list[_Place]]:
        """Yield the instances of each series that the recipe asks for; of what the server cannot list, one that it will not give."""
        try:
            yield from self._find_series()
        except _NotGiven as refusal:
            raise self._failure(say_status(refusal.status)) from None

    def _find_series(self) -> Iterator[list[_Place]]:
        filters = {"StudyDate": self._dates(), "ModalitiesInStudy": self.source.modality}
        search = {key: value for key, value in filters.items() if value}
        for study in self._pages(STUDY, lambda **page: self.client.search_for_studies(search_filters=search, fields=["StudyDescription"], **page)):
            if not self._is_in_time(_value(study, DATE)):
                continue
            uid = _value(study, STUDY)
            only = {"Modality": self.source.modality} if self.source.modality else {}
            try:
                found = list(self._pages(SERIES, self._search_series(uid, only)))
            except _NotGiven:
                yield [_Place("", self._below(uid) / "unlisted")]
                continue
            for series in found:
                if self._is_wanted(study, series):
                    yield self._instances(uid, _value(series, SERIES))

    def _search_series(self, study: str, only: dict[str, str]) -> Callable[..., list[dict[str, Any]]]:
        return lambda **page: self.client.search_for_series(study, search_filters=only, fields=["SeriesDescription"], **page)

    def _instances(self, study: str, series: str) -> list[_Place]:
        below = self._below(f"{study}|{series}")
        try:
            found = list(self._pages(INSTANCE, lambda **page: self.client.search_for_instances(study, series, **page)))
        except _NotGiven:
            return [_Place("", below / "unlisted")]
        return [self._place(study, series, _value(instance, INSTANCE), below) for instance in found]

    def _below(self, what: str) -> Path:
        return self.folder / pseudonym(self.secret, f"inbox:{self.source.name}", what)

    def _place(self, study: str, series: str, instance: str, below: Path) -> _Place:
        address = f"studies/{quote(study, safe='')}/series/{quote(series, safe='')}/instances/{quote(instance, safe='')}"
        return _Place(address, below / f"{pseudonym(self.secret, f'inbox:{self.source.name}', instance)}.dcm", instance)

    def _dates(self) -> str:
        first, last = (f"{day:%Y%m%d}" if day else "" for day in (self.source.from_date, self.source.to_date))
        return f"{first}-{last}" if first or last else ""

    def _is_in_time(self, day: str) -> bool:
        """Say whether a study date is the recipe's, for servers that do not filter."""
        first, _, last = self._dates().partition("-")
        return not day or (first or day) <= day <= (last or day)

    def _is_wanted(self, study: dict[str, Any], series: dict[str, Any]) -> bool:
        """Say whether modality and description are the recipe's; descriptions are compared here, because servers differ about upper and lower case."""
        if self.source.modality and _value(series, MODALITY) not in ("", self.source.modality):
            return False
        pattern = (self.source.description or "*").casefold()
        texts = (_value(study, STUDY_DESCRIPTION), _value(series, SERIES_DESCRIPTION))
        return any(fnmatch.fnmatchcase(text.casefold(), pattern) for text in texts)

    def _pages(self, tag: str, search: Callable[..., list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        """Yield every answer once, page by page, until a page brings nothing new; servers may give smaller pages than asked, or always the same."""
        seen: set[str] = set()
        offset = 0
        while True:
            page = self.ask(lambda offset=offset: search(limit=PAGE, offset=offset))  # type: ignore[misc]
            new = {_value(answer, tag): answer for answer in page if _value(answer, tag) not in seen}
            new.pop("", None)
            if not new:
                return
            yield from new.values()
            seen |= set(new)
            offset += len(page)

    def bring(self, place: _Place) -> bool:
        """Store one instance, all of it or nothing; False when the server does not give it."""
        if not place.address:
            return False
        partial = place.path.with_name(place.path.name + PARTIAL)
        with self._writing(partial):
            try:
                self.ask(lambda: self._download(place.address, partial))
            except _NotGiven:
                return False
            partial.replace(place.path)
        return True

    def bring_series(self, wanted: list[_Place]) -> Iterator[_Place]:
        """Store the instances of a series from one answer; those that do not come are for `bring`. An answer a series is what servers are fast at."""
        import requests

        by_uid = {place.uid: place for place in wanted}
        partial = wanted[0].path.with_name(f"series{PARTIAL}")
        with self._writing(partial):
            try:
                for part in self._parts(wanted[0].address.rpartition("/instances/")[0]):
                    place = by_uid.pop(instance_uid(_write(part, partial)), None)
                    if place is not None:
                        partial.replace(place.path)
                        yield place
            except (requests.RequestException, _NotGiven):
                return

    @contextmanager
    def _writing(self, partial: Path) -> Iterator[None]:
        """Make the folder; remove what is half written; name the folder when its disk says no."""
        try:
            partial.parent.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise UsageError(f"source {self.source.name!r}: {self.folder} cannot be written: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)

    def _download(self, address: str, partial: Path) -> None:
        """Write the one instance of an answer to a file."""
        written = [_write(part, partial) for part in self._parts(address)]
        if len(written) != 1:
            raise _NotGiven

    def _parts(self, address: str) -> Iterator[Iterable[bytes]]:
        """Yield the instances of an answer."""
        accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        with self.session.get(f"{self.client.base_url}/{address}", headers=accept, stream=True, timeout=TIMEOUT_S) as response:
            response.raise_for_status()
            media_type, pieces = response.headers.get("Content-Type", ""), response.iter_content(COPY_BYTES)
            _, has_parts, boundary = media_type.partition("boundary=")
            if has_parts:
                yield from split_parts(pieces, boundary.partition(";")[0].strip().strip('"').encode())
            elif media_type.startswith("application/dicom"):  # against the standard, but common; its length was checked by urllib3
                yield pieces
            else:
                raise _NotGiven

    def ask(self, question: Callable[[], T]) -> T:
        """Return the answer to a question, asked again after growing pauses when the server is busy or the line breaks."""
        import requests

        try:
            return ask_again(question, self.patience)
        except requests.HTTPError as error:
            if status_of(error) in (*BUSY, *NO_ENTRY):
                raise self._failure(say_status(status_of(error))) from None
            raise _NotGiven(status_of(error)) from None
        except requests.JSONDecodeError:
            raise self._failure("does not answer in DICOM JSON; is the url that of its DICOMweb service?") from None
        except requests.RequestException as error:
            raise self._failure(f"the connection failed ({type(error).__name__}). What was fetched is kept; run again, and it goes on from there") from None

    def _failure(self, reason: str) -> ServiceError:
        return ServiceError(f"the PACS of source {self.source.name!r}", self.source.url or "", reason)


def _write(pieces: Iterable[bytes], path: Path) -> bytes:
    """Write one instance, flushed to the disk, and return its first bytes."""
    head, size = b"", 0
    with path.open("wb") as file:
        for piece in pieces:
            head += piece[: HEAD_BYTES - len(head)]
            size += file.write(piece)
            if size > MAX_FILE_BYTES:
                raise _NotGiven
        file.flush()
        os.fsync(file.fileno())
    return head


def _value(answer: dict[str, Any], tag: str) -> str:
    """Return the first value of an element of a DICOM JSON answer as text; empty when it has none."""
    element = answer.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if isinstance(values, list) and values and isinstance(values[0], str | int | float) else ""
