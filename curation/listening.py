"""The DICOM receiver: scanners and a PACS send (C-STORE) into an inbox folder, which a source of kind `dicom` reads.

A file is acknowledged after it is on the disk under its own hash, so that a sender that hears nothing sends again and a second copy changes nothing.
No value of what is received becomes part of a path. Only callers on the allow-list may speak.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.errors import UsageError
from curation.recipe import ListenSettings
from curation.sources.walk import PARTIAL

if TYPE_CHECKING:
    from pynetdicom import AE

STORED, OUT_OF_RESOURCES = 0x0000, 0xA700
"""Answers to C-STORE (PS3.4 B.2.3)."""
SPARE_DISK_BYTES = 1 << 30
MAX_CALLERS = 10
IDLE_S = 300.0
HANG_UP_S = 5.0


@dataclass
class Receiver:
    """A receiver that listens.

    Attributes:
        settings: who may send what.
        inbox: where files end.
        tell: hears of callers; never of patients.
        port: where it listens.
        received: files that were stored.
        repeated: files that were there already.
        refused: callers that were turned away, and senders that were cut off.
    """

    settings: ListenSettings
    inbox: Path
    tell: Callable[[str], None]
    port: int = 0
    received: int = 0
    repeated: int = 0
    refused: int = 0
    _sent: dict[Any, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def desk(self) -> Path:
        """Where files lie while they come in."""
        return self.inbox / f"receiving-{os.getpid()}{PARTIAL}"

    def store(self, event: Any) -> int:
        """Put one received file into the inbox and return the answer to its sender."""
        path = Path(event.dataset_path)
        with self._lock:
            self._sent.pop(event.assoc, None)
        try:
            if shutil.disk_usage(self.inbox).free < SPARE_DISK_BYTES:
                self.tell("the disk of the inbox is full: a file was not accepted")
                return OUT_OF_RESOURCES
            is_new = keep(path, self.inbox)
        except OSError as error:
            self.tell(f"a file could not be stored: {error.strerror}")
            return OUT_OF_RESOURCES
        with self._lock:
            self.received += is_new
            self.repeated += not is_new
        return STORED

    def count(self, event: Any) -> None:
        """Cut a sender off whose object is larger than allowed."""
        with self._lock:
            self._sent[event.assoc] = sent = self._sent.get(event.assoc, 0) + len(event.data)
        if sent > self.settings.max_file_gb * 1e9 and event.assoc.is_established:
            self.turn_away(event, f"sent an object of more than {self.settings.max_file_gb:g} GB and was cut off")
            event.assoc.abort(block=False)

    def reject(self, event: Any) -> None:
        """Tell of a caller that may not speak."""
        self.turn_away(event, "was refused: its title is not on the list, or it does not call us by ours")

    def turn_away(self, event: Any, why: str) -> None:
        """Count and tell; the title is the caller's own word, so it is shown as plain ASCII."""
        with self._lock:
            self.refused += 1
        self.tell(f"caller {event.assoc.requestor.ae_title!a} at {event.assoc.requestor.address}: {why}")

    def hang_up(self, event: Any) -> None:
        """Forget a caller; when nobody is on the line, half-received files go."""
        with self._lock:
            self._sent.pop(event.assoc, None)
        half = getattr(event.assoc.dimse.message, "_data_set_file", None)  # pynetdicom leaves it open when a sender breaks off
        if half is not None:
            half.close()
        if not [other for other in event.assoc.ae.active_associations if other is not event.assoc]:
            clear(self.desk)


def keep(path: Path, inbox: Path) -> bool:
    """Move a file to `<inbox>/<2 hex digits>/<sha256>.dcm`, flushed to the disk; return whether it is new there."""
    with path.open("rb") as file:
        name = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    target = inbox / name[:2] / f"{name}.dcm"
    if target.exists():
        return False
    target.parent.mkdir(exist_ok=True, mode=0o700)
    path.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def clear(folder: Path) -> None:
    """Remove the files of a folder."""
    for path in folder.glob("*"):
        path.unlink(missing_ok=True)


def clear_desks(inbox: Path) -> None:
    """Remove what receivers that were killed left half-received."""
    from psutil import pid_exists

    for desk in inbox.glob(f"receiving-*{PARTIAL}"):
        number = desk.name.removeprefix("receiving-").removesuffix(PARTIAL)
        if not number.isdigit() or int(number) == os.getpid() or not pid_exists(int(number)):
            shutil.rmtree(desk, ignore_errors=True)


@contextmanager
def receiving(settings: ListenSettings, inbox: Path, tell: Callable[[str], None]) -> Iterator[Receiver]:
    """Listen until the block ends.

    Raises:
        UsageError: nobody may send, or the address cannot be used.
    """
    if not settings.allow:
        raise UsageError("nobody may send: name the AE titles of your senders with --allow, or in `allow` of [listen]")
    receiver = Receiver(settings, inbox, tell)
    inbox.mkdir(parents=True, exist_ok=True, mode=0o700)
    clear_desks(inbox)
    receiver.desk.mkdir(exist_ok=True, mode=0o700)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it logs UIDs
    tempfile.tempdir = str(receiver.desk)  # pynetdicom writes there what comes in
    ae = _open_ae(settings)
    try:
        receiver.port = _start(ae, receiver)
        yield receiver
    finally:
        _stop(ae)
        tempfile.tempdir = None
        shutil.rmtree(receiver.desk, ignore_errors=True)


def _open_ae(settings: ListenSettings) -> AE:
    from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, _config
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    _config.STORE_RECV_CHUNKED_DATASET = True  # to the disk, not into the memory; nothing is parsed
    ae = AE(settings.ae_title)
    ae.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    ae.require_calling_aet, ae.require_called_aet = list(settings.allow), True
    ae.maximum_associations, ae.network_timeout = MAX_CALLERS, IDLE_S
    return ae


def _start(ae: AE, receiver: Receiver) -> int:
    """Start to listen; return the port."""
    host, port = receiver.settings.host, receiver.settings.port
    try:
        server = ae.start_server((host, port), block=False, evt_handlers=_handlers(receiver))
    except OSError as error:
        raise UsageError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    assert server is not None
    return int(server.server_address[1])


def _stop(ae: AE) -> None:
    """End: senders that are in the middle are cut off; callers that were just turned away hang up by themselves."""
    for association in ae.active_associations:
        if association.is_established:
            association.abort()
    patience_ends = time.monotonic() + HANG_UP_S
    while ae.active_associations and time.monotonic() < patience_ends:
        time.sleep(0.05)
    ae.shutdown()


def _handlers(receiver: Receiver) -> list[Any]:
    from pynetdicom import evt

    return [
        (evt.EVT_C_STORE, receiver.store),
        (evt.EVT_DATA_RECV, receiver.count),
        (evt.EVT_REJECTED, receiver.reject),
        (evt.EVT_CONN_CLOSE, receiver.hang_up),
    ]
