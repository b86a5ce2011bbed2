"""Dataset versions: the one door to DVC, and the git commands that go with it.

A version is a git commit whose `data.dvc` names the bytes of `data/`, with a tag `data-vN` and a line `Dataset-Version: data-vN` in its
message, so that clones without tags know their versions too. Bytes are pushed before the commit is made: what has a name can be read.
Old versions are read in place (`open_version`), nothing is checked out. Nothing here ever deletes stored objects.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

import polars as pl

from curation.errors import IntegrityError, ServiceError, UsageError
from curation.git import ask_git, commit_files, identity, run_git
from curation.manifest import check_columns
from curation.pixels import Pixels, decode
from curation.project import Project

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem
    from dvc.repo import Repo

PREFIX = "data-v"
TRAILER = "Dataset-Version"
PLACEHOLDER = "remote-of-this-project"
VERSIONED = ("data.dvc", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore", "curaloop.toml", "records")


def init_dvc(root: Path, remote_url: str = "") -> None:
    """Make `root` a git and DVC repository whose committed configuration names the remote. Running it again changes the remote only.

    Args:
        root: folder of the project.
        remote_url: where bytes are pushed: an absolute folder, a folder relative to `root`, or an address that DVC knows (`s3://…`).
            Empty: no remote, versions live in the local DVC cache only.
    """
    if not (root / ".git").exists():
        run_git(root, "init", "-q", "-b", "main")
    if not (root / ".dvc").exists():
        _silence()
        from dvc.repo import Repo

        Repo.init(str(root)).close()
    with _repository(root) as repo, repo.config.edit("repo") as config:
        config["core"] |= {"analytics": False, "check_update": False, "autostage": False}
        if remote_url:
            config["core"]["remote"] = "storage"
            config["remote"]["storage"] = {"url": f"ssh://{PLACEHOLDER}"}
    if remote_url:
        _write_remote(root, remote_url)


def _is_absolute(url: str) -> bool:
    return "://" in url or Path(url).expanduser().is_absolute()


def _write_remote(root: Path, remote_url: str) -> None:
    """Write the remote's address ourselves: DVC writes ASCII only, and would make a folder inside the project absolute.

    A relative folder is written relative to `.dvc`, so that a moved or cloned project finds a remote inside itself.
    """
    url = remote_url if _is_absolute(remote_url) else Path("..", remote_url).as_posix()
    config = root / ".dvc" / "config"
    config.write_text(config.read_text().replace(f"ssh://{PLACEHOLDER}", '"' + url + '"' if re.search(r"[,#'\s]", url) else url))


def _silence() -> None:
    """Let DVC neither report its use, nor look for updates, nor print."""
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    import dvc  # noqa: F401  (sets up its loggers when it is imported)

    for name in ("dvc", "dvc_objects", "dvc_data"):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def _repository(root: Path) -> Iterator[Repo]:
    """Open the DVC repository at `root`; raise `UsageError` when there is none."""
    _silence()
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo(str(root))
    except NotDvcRepoError as error:
        raise UsageError(f"{root} is not a DVC repository; `curaloop init` makes one") from error
    with repo:
        yield repo


def track_and_tag(project: Project, version: str, message: str) -> str:
    """Store `data/` with DVC, push it, commit `data.dvc`, records and recipe, and tag the commit; return its hash.

    Killed at any moment, the same call does the rest. Without a remote nothing is pushed.

    Raises:
        UsageError: the version exists already with other content.
        ServiceError: the remote did not take the bytes; nothing was committed.
    """
    from dvc.exceptions import DvcException

    tag_untagged(project)
    if version in list_versions(project):
        raise UsageError(f"{version} exists already; versions are never changed")
    with _repository(project.root) as repo:
        try:
            repo.add(str(project.data))
        except DvcException as error:
            raise IntegrityError(project.data, f"DVC cannot store it: {error}") from error
        if repo.config["core"].get("remote"):
            _push(repo)
    paths = [path for path in VERSIONED if (project.root / path).exists()]
    commit = commit_files(project, paths, f"{message}\n\n{TRAILER}: {version}\n")
    _tag(project, version, commit)
    return commit


def tag_untagged(project: Project) -> str | None:
    """Tag the newest release if its tag is missing because the process was killed between commit and tag; return its name."""
    commit, _, message = ask_git(project.root, "log", "-1", f"--grep=^{TRAILER}: ", "--format=%H%n%B", "HEAD").partition("\n")
    version = _trailer(message)
    if version is None or ask_git(project.root, "tag", "--list", version):
        return None
    _tag(project, version, commit)
    return version


def _tag(project: Project, version: str, commit: str) -> None:
    run_git(project.root, *identity(project.root), "tag", "-a", version, "-m", f"Dataset {version}", commit)


def _trailer(message: str) -> str | None:
    match = re.search(rf"^{TRAILER}: ({PREFIX}\d+)$", message, re.MULTILINE)
    return match[1] if match else None


def push(project: Project) -> None:
    """Push the bytes of the current and of every tagged version.

    Raises:
        UsageError: the project has no remote.
        ServiceError: the remote did not take them.
    """
    with _repository(project.root) as repo:
        if not repo.config["core"].get("remote"):
            raise UsageError("the project has no DVC remote; name one with `dvc remote add --default storage URL` and commit .dvc/config")
        _push(repo, all_tags=True)


def _push(repo: Repo, all_tags: bool = False) -> None:
    from dvc.exceptions import DvcException

    url = str(repo.config["remote"][repo.config["core"]["remote"]]["url"])
    try:
        repo.push(all_tags=all_tags)
    except (DvcException, OSError) as error:
        raise ServiceError("DVC remote", url, str(error) or type(error).__name__) from error


def pull(project: Project) -> None:
    """Bring `data/` of the current version into the project's folder.

    Raises:
        ServiceError: the remote does not give the bytes.
    """
    from dvc.exceptions import DvcException

    with _repository(project.root) as repo:
        try:
            repo.pull(targets=[str(project.root / "data.dvc")], force=True)
        except (DvcException, OSError) as error:
            raise ServiceError("DVC remote", str(repo.config["core"].get("remote", "none")), str(error)) from error


def list_versions(project: Project) -> list[str]:
    """Return the names of all versions, oldest first, from tags and from commits that carry the version's name."""
    tags = ask_git(project.root, "tag", "--list", f"{PREFIX}*").splitlines()
    messages = ask_git(project.root, "log", f"--grep=^{TRAILER}: ", "--format=%B", "HEAD")
    named = re.findall(rf"^{TRAILER}: ({PREFIX}\d+)$", messages, re.MULTILINE)
    return sorted({name for name in (*tags, *named) if _number(name)}, key=_number)


def _number(name: str) -> int:
    match = re.fullmatch(rf"{PREFIX}(\d+)", name)
    return int(match[1]) if match else 0


def next_version(project: Project) -> str:
    """Return the name of the version that is released next."""
    return f"{PREFIX}{max(map(_number, list_versions(project)), default=0) + 1}"


def _find_commit(project: Project, name: str) -> str:
    """Return the commit of a version: its tag, else the newest commit that carries its name, else HEAD if it is what HEAD holds."""
    if commit := ask_git(project.root, "rev-parse", "--verify", "--quiet", f"refs/tags/{name}^{{commit}}"):
        return commit
    if commit := ask_git(project.root, "log", "-1", f"--grep=^{TRAILER}: {name}$", "--format=%H", "HEAD"):
        return commit
    head = ask_git(project.root, "rev-parse", "--verify", "--quiet", "HEAD")
    if head and _holds_data(project, head):
        with Version(project, name, head) as version:
            if version.release.get("version") == name:
                return head
    raise UsageError(f"no version {name}; there are: {', '.join(list_versions(project)) or 'none'}")


def _holds_data(project: Project, commit: str) -> bool:
    return bool(ask_git(project.root, "ls-tree", commit, "data.dvc"))


def has_version(project: Project) -> bool:
    """Tell whether HEAD holds a version, which `open_version(project)` opens."""
    return _holds_data(project, "HEAD")


def open_version(project: Project, name: str | None = None) -> Version:
    """Open one version for reading; nothing is checked out. Use as a context manager.

    Args:
        project: the project, or a clone of it.
        name: `data-vN`; None opens what HEAD's `data.dvc` names.

    Raises:
        UsageError: there is no such version.
    """
    if name is not None:
        return Version(project, name, _find_commit(project, name))
    head = ask_git(project.root, "rev-parse", "--verify", "--quiet", "HEAD")
    if not head or not _holds_data(project, head):
        raise UsageError("nothing is released yet; `curaloop release` makes the first version")
    version = Version(project, "", head)
    version.name = str(version.release["version"])
    return version


class Version:
    """One released version: its release facts, rows and pixels. Shards that are only in the remote are fetched when first read.

    Attributes:
        name: `data-vN`.
        commit: the git commit that holds it.
    """

    def __init__(self, project: Project, name: str, commit: str) -> None:
        self.name, self.commit = name, commit
        self._root = project.root
        self._files: DVCFileSystem | None = None
        self._cached: dict[str, Path] | None = None
        self._shards: dict[str, BinaryIO] = {}
        self._release: dict[str, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for shard in self._shards.values():
            shard.close()
        self._shards.clear()
        if self._files is not None:
            self._files.close()

    @property
    def release(self) -> dict[str, Any]:
        """The content of `release.json`."""
        if self._release is None:
            self._release = json.loads(self.read_file("release.json"))
        return self._release

    def manifest(self) -> pl.DataFrame:
        """Return the rows of this version."""
        path = Path("data/manifest.parquet")
        return check_columns(pl.read_parquet(io.BytesIO(self.read_file("manifest.parquet"))), path)

    def read_file(self, name: str) -> bytes:
        """Return the bytes of one file of `data/`, e.g. `card.md`."""
        with self._open(name) as file:
            return file.read()

    def copy_file(self, name: str, target: Path) -> None:
        """Copy one file of `data/`, e.g. `shards/<name>`, to `target`."""
        with self._open(name) as file, target.open("wb") as copy:
            shutil.copyfileobj(file, copy, 2**20)

    def read(self, row: dict[str, Any]) -> bytes:
        """Return the stored file of one row of `manifest()`: PNG or NIfTI bytes."""
        name = str(row["shard"])
        if name not in self._shards:
            self._shards[name] = self._open(f"shards/{name}")
        self._shards[name].seek(int(row["offset"]))
        content = self._shards[name].read(int(row["size_bytes"]))
        if len(content) != row["size_bytes"]:
            raise IntegrityError(name, "ends before the row's last byte")
        return content

    def label_map(self, row: dict[str, Any]) -> Pixels | None:
        """Return the label map of one row, uint8 or uint16 on the grid of its pixels, or None when it has none; `label_map_values` names its values."""
        if row["label_map_offset"] is None:
            return None
        place = {"shard": row["shard"], "offset": row["label_map_offset"], "size_bytes": row["label_map_size_bytes"]}
        found = decode(self.read(place), ".nii.gz")
        return found[0] if row["ndim"] == 2 else found

    def pixels(self, row: dict[str, Any]) -> Pixels:
        """Return the pixels of one row: `(H, W)`, `(H, W, 3)` RGB or `(D, H, W)`."""
        return decode(self.read(row), str(row["suffix"]))

    def _open(self, name: str) -> BinaryIO:
        """Open a file of `data/`: from the local cache if it lies there, which needs no DVC and half a second less, else through DVC."""
        if self._cached is None:
            self._cached = _list_cache(self._root, self.commit)
        try:
            if name in self._cached and self._cached[name].is_file():
                return self._cached[name].open("rb")
            return cast("BinaryIO", self._dvc().open(f"data/{name}", "rb", cache=True))
        except FileNotFoundError as error:
            raise IntegrityError(f"data/{name}", f"is neither in the DVC cache nor in the remote ({self.name or 'HEAD'})") from error

    def _dvc(self) -> DVCFileSystem:
        if self._files is None:
            _silence()
            from dvc.api import DVCFileSystem

            self._files = DVCFileSystem(str(self._root), rev=self.commit)
        return self._files


def _list_cache(root: Path, commit: str) -> dict[str, Path]:
    """Return where the files of `data/` lie in the local DVC cache at its usual place; empty when the list of them is not there."""
    cache = root / ".dvc" / "cache" / "files" / "md5"
    tracked = re.search(r"md5: ([0-9a-f]{2})([0-9a-f]{30}\.dir)\b", ask_git(root, "show", f"{commit}:./data.dvc"))
    listing = cache / tracked[1] / tracked[2] if tracked else None
    if listing is None or not listing.is_file():
        return {}
    return {entry["relpath"]: cache / entry["md5"][:2] / entry["md5"][2:] for entry in json.loads(listing.read_bytes())}
