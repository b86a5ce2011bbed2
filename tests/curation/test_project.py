"""Places, locks and keys."""

import os
from pathlib import Path

import pytest

from curation.errors import LockedError, UsageError
from curation.ledger import append_decision, read_ledger
from curation.project import Project, create_key, find_project, read_key
from curation.pseudonyms import pseudonym, pseudonymous_uid, shift_date


def test_a_project_is_found_from_below(tmp_path: Path) -> None:
    """Any folder inside will do; outside there is a clear message."""
    (tmp_path / "curaloop.toml").touch()
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_project(tmp_path / "a" / "b").root == tmp_path.resolve()
    with pytest.raises(UsageError, match="curaloop init"):
        find_project(Path("/"))


def test_only_one_may_write(tmp_path: Path) -> None:
    """The second writer is told who holds the lock; afterwards the way is free again."""
    project = Project(tmp_path)
    with project.writing("ingest"), pytest.raises(LockedError, match="ingest, process"), Project(tmp_path).writing("release"):
        pytest.fail("two writers at once")
    with project.writing("release"):
        pass


def test_an_account_without_a_name_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container often runs as a bare number: it stands in lock and ledger."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 5)
    project = Project(tmp_path)
    with project.writing("ingest"):
        assert f"of {2**31 - 5} since" in (project.workspace / "lock.owner").read_text()
        append_decision(project.ledger, "released", what="data-v1", why="a test")
    assert [line["who"] for line in read_ledger(project.ledger)] == [str(2**31 - 5)]


def test_the_key_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key is 0600 and is not replaced; a shared, missing, inner or short one is refused."""
    path, project = tmp_path / "keys" / "key", Project(tmp_path / "project")
    monkeypatch.setenv("CURALOOP_KEY_FILE", str(path))
    with pytest.raises(UsageError, match="no key"):
        read_key(project)
    assert create_key() == path
    key = read_key(project)
    assert (path.stat().st_mode & 0o777, len(key)) == (0o600, 64)
    create_key()
    assert read_key(project) == key
    path.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        read_key(project)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="inside the project"):
        read_key(Project(tmp_path))
    path.write_text("short\n")
    with pytest.raises(UsageError, match="too short"):
        read_key(project)


def test_pseudonyms_are_stable_and_keyed() -> None:
    """The same key gives the same answer, another key or kind another; intervals between a patient's dates are kept."""
    from datetime import date

    assert pseudonym(b"k", "patient", "4711") == pseudonym(b"k", "patient", "4711")
    assert len({pseudonym(key, kind, "4711") for key in (b"k", b"l") for kind in ("patient", "site")}) == 4
    assert pseudonymous_uid(b"k", "1.2.3").startswith("2.25.")
    assert len(pseudonymous_uid(b"k", "1.2.3")) <= 64
    first, second = date(2024, 1, 5), date(2024, 3, 1)
    assert shift_date(b"k", "p", second) - shift_date(b"k", "p", first) == second - first
    assert shift_date(b"k", "p", first) < first
