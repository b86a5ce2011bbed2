"""What the names of NIfTI files say: subject, session and suffix after BIDS, which file is a label map, and which files are read together with which image.

Paths are printable, relative to the source, with `/`. Nothing is opened here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from curation.pseudonyms import pseudonym

Role = Literal["image", "label_map", "voxels", "b_values", "sidecar"]

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".hdr.gz", ".hdr")
VOXEL_SUFFIXES = (".img.gz", ".img")
SIDECARS: dict[str, Role] = {".bval": "b_values", ".json": "sidecar"}
LABEL_FOLDERS = {"labels": "images", "label": "image", "labelstr": "imagesTr", "labelsts": "imagesTs", "masks": "images", "mask": "image",
                 "segmentations": "images", "segmentation": "image"}  # fmt: skip
"""Folders of label maps in lower case, and how their images' folders are called in the same data set (Medical Decathlon, nnU-Net and others)."""

_MR = (
    "T1w T2w PDw T2starw T2star FLAIR FLASH inplaneT1 inplaneT2 PDT2 MP2RAGE UNIT1 T1map T2map T2starmap R1map R2map R2starmap MTRmap MTsat angio bold cbv "
    "sbref dwi asl m0scan phase phasediff phase1 phase2 magnitude magnitude1 magnitude2 fieldmap epi swi"
)
MODALITIES = {**dict.fromkeys(_MR.split(), "MR"), "ct": "CT", "CT": "CT", "pet": "PT"}
"""BIDS suffixes that are images, and the DICOM modality of each (BIDS 1.10; `ct` is not in it yet, but common)."""

STRUCTURES = {
    "BG": "background", "GM": "gray matter", "WM": "white matter", "CSF": "cerebrospinal fluid", "BS": "brainstem", "CBM": "cerebellum", "L": "lesion",
    "B": "bone", "ST": "soft tissue", "NR": "non-brain", "SGM": "subcortical gray matter", "CGM": "cortical gray matter", "SCR": "scar",
}  # fmt: skip
"""Words after `label-` in BIDS derivatives, and what they mean."""

_SURE_WORD = r"(?:labels?|[a-z]{0,8}seg|segmentation|(?:brain)?masks?)"
_LABEL_WORD = rf"(?:{_SURE_WORD}|rois?|lesions?)"
_SURE_WORDS = re.compile(rf"^{_SURE_WORD}$")
_LABEL_TAIL = re.compile(rf"[_\-. ]{_LABEL_WORD}(?:[_\-. ].*)?$", re.IGNORECASE)
_LABEL_HEAD = re.compile(rf"^{_LABEL_WORD}[_\-. ]", re.IGNORECASE)
_OF_LABELS = frozenset({"label", "desc", "res", "den", "hemi", "seg", "atlas", "mask"})
_PLAIN_SESSION = re.compile(r"(?:[A-Za-z]{1,2})?[0-9]{1,3}|pre|post|baseline|followup|test|retest|scan|rescan")


def strip_suffix(name: str) -> str:
    """Return a file's name without the suffix of a NIfTI file, or without its last suffix."""
    lowered = name.lower()
    for suffix in (*IMAGE_SUFFIXES, *VOXEL_SUFFIXES):
        if lowered.endswith(suffix):
            return name[: -len(suffix)]
    return name.rpartition(".")[0] or name


def subject_of(path: str) -> str | None:
    """Return the subject (`sub-01`) that a path names: in the file's name, else in the nearest folder."""
    for part in reversed(path.split("/")):
        word = re.split(r"[_.]", part, maxsplit=1)[0]
        if word.startswith("sub-") and len(word) > len("sub-"):
            return word
    return None


def describe_name(path: str, secret: bytes) -> dict[str, Any]:
    """Return `suffix` and `session` of an image with a BIDS name; a session that is no number or plain word becomes a keyed pseudonym."""
    stem = strip_suffix(path.rpartition("/")[2])
    if not stem.startswith("sub-"):
        return {}
    suffix, session = stem.rpartition("_")[2], entities_of(stem).get("ses")
    found = {"suffix": suffix} if suffix in MODALITIES else {}
    if session:
        found["session"] = session if _PLAIN_SESSION.fullmatch(session) else f"session-{pseudonym(secret, 'session', session)[:8]}"
    return found


def modality_of(path: str) -> str | None:
    """Return the DICOM modality that the suffix of a BIDS name means; None when the name is none or does not say it."""
    stem = strip_suffix(path.rpartition("/")[2])
    return MODALITIES.get(stem.rpartition("_")[2]) if stem.startswith("sub-") else None


def entities_of(stem: str) -> dict[str, str]:
    """Return the key-value pairs of a BIDS name."""
    return {key: value for key, _, value in (part.partition("-") for part in stem.split("_")) if value}


def structure_of(path: str) -> str | None:
    """Return what the mask of a BIDS name shows, from a list of ours: `label-GM` is gray matter, `desc-brain_mask` the brain."""
    entities = entities_of(strip_suffix(path.rpartition("/")[2]))
    if entities.get("desc") == "brain" or "brainmask" in path.rpartition("/")[2]:
        return "brain"
    return STRUCTURES.get(entities.get("label", ""))


def is_label_map(path: str) -> bool:
    """Say whether a relative path names a label map: a derivative, a word like `seg`, `dseg`, `mask`, `label` in its name, or a folder of label maps."""
    *folders, name = path.split("/")
    return _is_in_label_folder(folders) or "derivatives" in folders or any(_SURE_WORDS.match(word) for word in re.split(r"[_.\-\s]", name.lower()))


def _may_be_label_map(path: str) -> bool:
    """Say whether a path is worth to look for its image: also `roi` and `lesion`, which name images, too, but no derivative without such a word."""
    *folders, name = path.split("/")
    return _is_in_label_folder(folders) or bool(_LABEL_TAIL.search(strip_suffix(name)) or _LABEL_HEAD.match(name))


def _is_in_label_folder(folders: list[str]) -> bool:
    return any(folder.lower() in LABEL_FOLDERS for folder in folders)


def role_of(path: str, unit: str) -> Role:
    """Return what a file of a unit is; the unit has its image's name."""
    if path == unit:
        return "image"
    lowered = path.lower()
    return "voxels" if lowered.endswith(VOXEL_SUFFIXES) else SIDECARS.get(lowered[-5:], "label_map")


def find_units(paths: Iterable[str]) -> dict[str, str]:
    """Return path → path of its image, for every file that is read together with an image: voxels of a pair, b-values, JSON, label maps.

    Files that are not in the answer are read alone. A label map that fits no image, or several, is alone.
    """
    images: dict[str, list[str]] = defaultdict(list)
    maps, others = [], []
    for path in paths:
        lowered = path.lower()
        if lowered.endswith(IMAGE_SUFFIXES):
            images[_stem(path)].append(path)
            if _may_be_label_map(path):
                maps.append(path)
        elif lowered.endswith((*VOXEL_SUFFIXES, *SIDECARS)):
            others.append(path)
    found = {path: image for path in others if (image := _companion(path, images))}
    return found | dict(_pair_maps(maps, images))


def _stem(path: str) -> str:
    """Return the path without the suffix of its name."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + strip_suffix(name)


def _companion(path: str, images: dict[str, list[str]]) -> str | None:
    """Return the header of a file of voxels, or the image of a file of b-values or JSON; the JSON of a label map is none of ours."""
    packed = path.lower().endswith(".gz")
    for image in images.get(_stem(path), ()):
        is_header = image.lower().endswith((".hdr", ".hdr.gz"))
        if (path.lower().endswith(tuple(SIDECARS)) and not is_label_map(image)) or (is_header and image.lower().endswith(".gz") == packed):
            return image
    return None


def _pair_maps(maps: list[str], images: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yield (label map, its image): the image with the same name but a word less, else the only one with the same BIDS entities."""
    of_map = set(maps)
    unnamed: list[tuple[str, str, str]] = []
    for path in maps:
        folder, _, name = _stem(path).rpartition("/")
        close = (_join(candidate, stem) for candidate in _folders(folder) for stem in _image_stems(name))
        fits = next((usable for stem in close if (usable := [image for image in images.get(stem, ()) if image not in of_map])), [])
        if len(fits) == 1:
            yield path, fits[0]
        elif not fits and name.startswith("sub-"):
            unnamed.append((path, folder, name))
    by_entities = _by_entities(images, of_map) if unnamed else {}
    for path, folder, name in unnamed:
        keys = ((candidate, key) for candidate in _folders(folder) for key in _entity_keys(name))
        fits = next((by_entities[key] for key in keys if key in by_entities), [])
        if len(fits) == 1:
            yield path, fits[0]


def _by_entities(images: dict[str, list[str]], of_map: set[str]) -> dict[tuple[str, frozenset[tuple[str, str]]], list[str]]:
    """Return the images with BIDS names by folder and entities."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], list[str]] = defaultdict(list)
    for stem, paths in images.items():
        folder, _, name = stem.rpartition("/")
        usable = [path for path in paths if path not in of_map]
        if usable and name.startswith("sub-"):
            found[folder, frozenset((key, value) for key, value in entities_of(name).items() if key not in _OF_LABELS)] += usable
    return dict(found)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _folders(folder: str) -> Iterator[str]:
    """Yield where the image of a label map in `folder` may lie, the nearest first."""
    yield folder
    parts = folder.split("/") if folder else []
    for place, part in enumerate(parts):
        if part.lower() in LABEL_FOLDERS:
            for name in ([LABEL_FOLDERS[part.lower()]], []):
                yield "/".join([*parts[:place], *name, *parts[place + 1 :]])
    if "derivatives" in parts:
        place = parts.index("derivatives")
        yield "/".join([*parts[:place], *parts[place + 2 :]])


def _image_stems(name: str) -> Iterator[str]:
    """Yield how the image of a label map may be called: the same, without the word of label maps, or with the channel of nnU-Net."""
    stems = dict.fromkeys((name, _LABEL_TAIL.sub("", name), _LABEL_HEAD.sub("", name)))
    yield from stems
    yield from (f"{stem}_0000" for stem in stems)


def _entity_keys(name: str) -> Iterator[frozenset[tuple[str, str]]]:
    """Yield the entities that the image of a label map with a BIDS name may have."""
    entities = {key: value for key, value in entities_of(name).items() if key not in _OF_LABELS}
    yield frozenset(entities.items())
    yield frozenset((key, value) for key, value in entities.items() if key != "space")
