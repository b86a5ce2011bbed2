"""The whole garden: some hundred files of six patients with a few thousand tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.leaks import objects, streams
from benchmarks.leaks.elements import DEEP_PATHS, dictionary_elements, in_groups, plant_deep, plant_element
from benchmarks.leaks.objects import BIG_ENDIAN, DEFLATED, IMPLICIT, Patient
from benchmarks.leaks.others import plant_others
from benchmarks.leaks.tokens import Garden, Plant

JPEG_BASELINE, JPEG_2000, RLE = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"


def plant_all(folder: Path, per_object: int = 100) -> list[Plant]:
    """Write the planted files below `folder` and return what was planted.

    Args:
        folder: an empty folder.
        per_object: elements of the dictionary that one object carries.
    """
    garden, rng = Garden(), np.random.default_rng(7)
    _plant_dictionary(folder, garden, rng, per_object)
    _plant_structure(folder, garden, rng)
    _plant_streams(folder, garden, rng)
    _plant_writing(folder, garden, rng)
    plant_others(folder / "others", garden, (objects.phantom(rng, 250)).astype(np.uint8))
    return garden.plants


def save(dataset: Any, path: Path, tail: bytes = b"") -> None:
    """Write a DICOM file as it is, wrong values included."""
    import warnings

    from pydicom import config

    path.parent.mkdir(parents=True, exist_ok=True)
    mode, config.settings.writing_validation_mode = config.settings.writing_validation_mode, config.IGNORE
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian, enforce_file_format=True)
    finally:
        config.settings.writing_validation_mode = mode
    if tail:
        path.write_bytes(path.read_bytes() + tail)


def _plant_dictionary(folder: Path, garden: Garden, rng: np.random.Generator, per_object: int) -> None:
    """Every element of the dictionary, a hundred an object: one CT series a patient, or X-rays."""
    import warnings

    patient = Patient(1, garden)
    for index, rows in enumerate(in_groups(dictionary_elements(), per_object)):
        name = f"dictionary/CT{index:03d}.dcm"
        garden.file = name
        dataset = objects.ct_slice(garden, patient, 1, index, rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for tag, vr, keyword in rows:
                plant_element(dataset, tag, vr, keyword, garden)
        save(dataset, folder / name)


def _plant_structure(folder: Path, garden: Garden, rng: np.random.Generator) -> None:
    """Nested elements, private elements, an enhanced object, a segmentation and a structure set with their references."""
    patient = Patient(2, garden)
    slices = []
    for index in range(6):
        garden.file = f"{garden.word('folder name', 'name')}/series/IM{index}_{patient.name.partition('^')[0]}.dcm"
        slices.append(objects.ct_slice(garden, patient, 11, index, rng))
        save(slices[-1], folder / garden.file)
    for name, make in (
        ("references/enhanced.dcm", lambda: objects.enhanced_mr(garden, patient, rng)),
        ("references/segmentation.dcm", lambda: objects.segmentation(garden, patient, slices, rng)),
        ("references/structures.dcm", lambda: objects.structure_set(garden, patient, slices)),
    ):
        garden.file = name
        save(make(), folder / name)
    for index, path in enumerate(DEEP_PATHS):
        garden.file = f"nested/CT{index:02d}.dcm"
        dataset = objects.ct_slice(garden, patient, 12, index, rng, IMPLICIT if index % 2 else objects.EXPLICIT)
        plant_deep(dataset, garden, path)
        save(dataset, folder / garden.file)


def _plant_streams(folder: Path, garden: Garden, rng: np.random.Generator) -> None:
    """Places that are no elements, in every way to store pixels."""
    from pydicom.uid import UID

    patient = Patient(3, garden)

    def slice_of(name: str, index: int, syntax: str = objects.EXPLICIT) -> Any:
        garden.file = f"streams/{name}.dcm"
        return objects.ct_slice(garden, patient, 20 + index, index, rng, syntax)

    for index, (name, plant) in enumerate((
        ("bits", streams.hide_in_high_bits), ("overlay", streams.plant_overlay), ("private", streams.plant_private), ("meta", streams.plant_meta),
        ("values", streams.plant_odd_values),
    )):  # fmt: skip
        dataset = slice_of(name, index)
        plant(dataset, garden)
        save(dataset, folder / garden.file)
    dataset = slice_of("tail", 6)
    dataset.PixelData += garden.word("bytes after the declared pixels", "stream").encode() + b" "
    save(dataset, folder / garden.file, garden.word("bytes after the data set", "stream").encode())
    for index, (name, syntax) in enumerate((("big", BIG_ENDIAN), ("deflated", DEFLATED), ("implicit", IMPLICIT))):
        dataset = slice_of(name, 7 + index, syntax)
        dataset.PatientComments, dataset.InstitutionName = (
            garden.word(f"PatientComments, {name}", "element"),
            garden.word(f"InstitutionName, {name}", "element"),
        )
        if syntax == BIG_ENDIAN:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        save(dataset, folder / garden.file)
    for index, (name, syntax) in enumerate((("jpeg", JPEG_BASELINE), ("j2k", JPEG_2000), ("rle", RLE))):
        dataset = slice_of(name, 10 + index)
        _compress(dataset, UID(syntax), garden)
        save(dataset, folder / garden.file)


def _compress(dataset: Any, syntax: Any, garden: Garden) -> None:
    """Compress the pixels and hide tokens in the stream."""
    import io

    from PIL import Image
    from pydicom.encaps import encapsulate, generate_frames

    if syntax == JPEG_BASELINE:
        gray = (np.frombuffer(dataset.PixelData, np.uint16).reshape(dataset.Rows, dataset.Columns) >> 4).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(gray).save(buffer, "JPEG", quality=95)
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.LossyImageCompression = 7, "01"
        dataset.PixelData = encapsulate([jpeg := streams.jpeg_segments(buffer.getvalue(), garden)])
        assert jpeg
    else:
        dataset.compress(syntax, generate_instance_uid=False)
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        if syntax == JPEG_2000:
            frame = streams.j2k_comment(frame, garden)
        else:
            frame += garden.word("bytes after the RLE segments", "stream").encode() + b" "
        dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax


def _plant_writing(folder: Path, garden: Garden, rng: np.random.Generator) -> None:
    """Names burned into pixels, and the same pictures without: what a tool must find, and must not touch."""
    import cv2

    patient = Patient(4, garden)
    for index, (name, sop_class, modality, colour, top) in enumerate((
        ("ultrasound", objects.US, "US", True, 250), ("capture", objects.SC, "OT", True, 250), ("gray_capture", objects.SC, "OT", False, 250),
        ("radiograph", objects.CR, "CR", False, 4095), ("ultrasound_film", objects.US_MULTI, "US", True, 250),
    )):  # fmt: skip
        picture = cv2.resize(objects.phantom(rng, top).astype(np.float32), streams.BURNED_SIZE_PX[::-1]).astype(np.uint16 if top > 255 else np.uint8)
        picture = np.stack([picture] * 3, -1) if colour else picture
        for kind in ("written", "plain"):
            garden.file = f"writing/{name}_{kind}.dcm"
            dataset = objects.base(garden, patient, sop_class, modality, 50 + index, 1 + (kind == "plain"))
            pixels = picture
            if kind == "written":
                garden.word("writing in the pixels", "burned-in")
                pixels = streams.write_on(picture, f"MUSTER ERIKA {19570311 + index} F", float(top))
            pixels = np.stack([picture, pixels, picture]) if "film" in name else pixels
            save(objects.with_pixels(dataset, pixels), folder / garden.file)
