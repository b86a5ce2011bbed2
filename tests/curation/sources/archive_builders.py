"""Builders of archives, good and bad, and what became of their members."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from curation.sources import archives
from curation.sources.archives import Archive, open_archive
from tests.curation_builders import a_picture, a_raster


def a_zip(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    """Write a zip of pictures or whatever."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


def a_tar(path: Path, members: dict[str, bytes | tarfile.TarInfo], mode: str = "w") -> Path:
    """Write a tar; a `TarInfo` stands for a member without bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as opened:  # type: ignore[call-overload]
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            opened.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return path


def pictures(*seeds: int) -> dict[str, bytes]:
    """Return PNG files by name."""
    return {f"day {seed}/{seed}.png": a_raster(a_picture(seed)) for seed in seeds}


def opened(path: Path, tmp_path: Path) -> archives.Opened:
    """Open one archive."""
    status = path.stat()
    return open_archive(Archive("clinic", path.name, str(path), status.st_size, status.st_mtime_ns, tmp_path / "laid-out"))


def states(path: Path, tmp_path: Path) -> dict[str, str]:
    """Return what became of the members, or of the archive alone when it is refused."""
    answer = opened(path, tmp_path)
    laid_out = sorted(place.name for place in (tmp_path / "laid-out").glob("**/*")) if (tmp_path / "laid-out").exists() else []
    assert len(laid_out) == sum(member.state == "file" for member in answer.members)
    return {member.path.partition("!/")[2]: member.state for member in answer.members} if answer.state == "archive" else {"": answer.state}
