"""Tar shards with random access."""

import tarfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import IntegrityError
from curation.shards import LABEL_MAP, OWN_SHARDS, PLACE, Place, ShardReader, adopt_shards, verify_shard, with_places, write_own_shard, write_shards

images = st.lists(st.binary(max_size=2000), min_size=1, max_size=12).map(lambda contents: [(f"{n:032x}.png", c) for n, c in enumerate(contents)])


@given(images, st.integers(1, 9000))
def test_what_is_written_can_be_read(tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, bytes]], max_bytes: int) -> None:
    """Every file comes back by its place, through tar too, however small the shards are."""
    folder = tmp_path_factory.mktemp("shards")
    places = write_shards(files, folder, max_bytes)
    with ShardReader(folder) as reader:
        assert {name: reader.read(place) for name, place in places.items()} == dict(files)
    through_tar = {}
    for shard in folder.iterdir():
        verify_shard(shard)
        with tarfile.open(shard) as tar:
            through_tar |= {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert through_tar == dict(files)


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    """Names of shards are hashes of their bytes, so equal names are equal bytes."""
    files = [("a.png", b"one"), ("b.png", b"two" * 1000)]
    assert write_shards(files, tmp_path / "x") == write_shards(files, tmp_path / "y")


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    """Planted: one byte in the middle of a shard changes."""
    write_shards([("a.png", b"content")], tmp_path)
    (shard,) = tmp_path.iterdir()
    shard.write_bytes(shard.read_bytes().replace(b"content", b"c0ntent"))
    with pytest.raises(IntegrityError, match="hash to"):
        verify_shard(shard)


def test_a_missing_or_short_shard_is_named(tmp_path: Path) -> None:
    """Planted: a shard is gone; a place points behind the end."""
    with ShardReader(tmp_path) as reader, pytest.raises(IntegrityError, match="missing"):
        reader.read(Place("0.tar", 0, 1))
    (place,) = write_shards([("a.png", b"content")], tmp_path).values()
    with ShardReader(tmp_path) as reader, pytest.raises(IntegrityError, match="ends before"):
        reader.read(place._replace(size_bytes=10**6))


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    """When the images stop coming because of an error, no half shard is there."""

    def broken() -> object:
        yield "a.png", b"content"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_shards(broken(), tmp_path)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_an_image_and_its_label_map_lie_in_one_shard(tmp_path: Path) -> None:
    """However small the shards are; the row then says where both lie."""
    files = [(f"{n}{suffix}", bytes([n]) * 900) for n in range(4) for suffix in (".nii.gz", LABEL_MAP)] + [("9.png", b"x")]
    places = write_shards(files, tmp_path, max_bytes=1)
    assert len({place.shard for place in places.values()}) == 5
    rows = with_places(pl.DataFrame({"image_id": ["0", "9", "gone"], **dict.fromkeys(PLACE)}, schema_overrides={"offset": pl.Int64}), places)
    assert rows["shard"].to_list() == [places["0.nii.gz"].shard, places["9.png"].shard, None]
    assert rows["label_map_offset"].to_list() == [places[f"0{LABEL_MAP}"].offset, None, None]
    assert places["0.nii.gz"].shard == places[f"0{LABEL_MAP}"].shard


@pytest.mark.parametrize("map_bytes", [None, 3])
def test_a_big_image_and_its_label_map_have_a_shard_to_themselves(tmp_path: Path, map_bytes: int | None) -> None:
    """Written among the parts, then moved; the place leads to the same bytes."""
    row = {"image_id": "0" * 32, "suffix": ".nii.gz", "label_map_size_bytes": map_bytes}
    place = write_own_shard(row, b"image" + b"map" * bool(map_bytes), tmp_path / "parts" / OWN_SHARDS)
    adopt_shards([place["shard"], "gone.tar"], tmp_path / "parts", tmp_path / "shards")
    verify_shard(tmp_path / "shards" / place["shard"])
    with ShardReader(tmp_path / "shards") as reader:
        assert reader.read(Place(place["shard"], place["offset"], place["size_bytes"])) == b"image"
        assert map_bytes is None or reader.read(Place(place["shard"], place["label_map_offset"], map_bytes)) == b"map"
    assert list((tmp_path / "parts" / OWN_SHARDS).iterdir()) == []
