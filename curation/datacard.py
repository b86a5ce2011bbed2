"""What a person (`card.md`) and a machine (`croissant.json`) read first in a version. Both are made from its rows and release facts."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from curation.modalities import with_task
from curation.records import COLUMNS
from curation.visible.faces import FACE_ACCEPTED

SPLIT_ORDER = ("train", "val", "test", "holdout")


def write_card(rows: pl.DataFrame, release: dict[str, Any]) -> str:
    """Return the card as Markdown.

    Args:
        rows: the released rows.
        release: content of `release.json`.
    """
    dataset, counts = release["dataset"], release["counts"]
    acquired = with_task(rows).filter(pl.col("origin") == "acquired").with_columns(pl.col("label").fill_null("*no label*"))
    parts = [
        f"# {dataset['name']}, {release['version']}",
        dataset["description"] or "No description was given in the recipe.",
        f"Licence: {dataset['licence']}. Made {release['created_at']}, after {release['parent'] or 'nothing: this is the first version'}.",
        "Not a medical device, and not for decisions about patients.",
        "## What is in it",
        f"{counts['images']:,} images: {counts['acquired']:,} acquired from {counts['patients']:,} patients, {counts['synthetic']:,} synthetic. "
        f"{counts['labelled']:,} have a label.",
        *_cohort(acquired),
        *_label_maps(rows),
        "## Synthetic images",
        _synthetic(rows),
        "## How it was made",
        _method(rows, release),
        "## How to read it",
        _usage(release["version"]),
    ]
    return "\n\n".join(parts) + "\n"


def _cohort(acquired: pl.DataFrame) -> list[str]:
    """Return the tables of the acquired images."""
    sections = []
    for (task,), cells in sorted(acquired.group_by(["task"])):
        table = cells.group_by("label").agg(
            *((pl.col("split") == side).sum().alias(side) for side in SPLIT_ORDER), patients=pl.col("patient_id").n_unique(), images=pl.len()
        )
        used = [name for name in table.columns if name not in SPLIT_ORDER or table[name].sum()]
        sections += [f"### {task}: acquired images by label and side", _table(table.select(used).sort("images", "label", descending=[True, False]))]
    for name in ("modality", "source", "site", "sex"):
        table = acquired.group_by(name).agg(images=pl.len(), patients=pl.col("patient_id").n_unique()).sort("images", name, descending=[True, False])
        sections += [f"### By {name}", _table(table)]
    return sections


def _table(table: pl.DataFrame) -> str:
    lines = [f"| {' | '.join(table.columns)} |", f"|{'---|' * table.width}"]
    return "\n".join(lines + [f"| {' | '.join('*not known*' if cell is None else str(cell) for cell in row)} |" for row in table.iter_rows()])


def _label_maps(rows: pl.DataFrame) -> list[str]:
    """Return how many images have which structures in their label maps; nothing when no image has one."""
    named = rows.drop_nulls("label_map_values").select("image_id", "patient_id", "label_map_values")
    if named.is_empty():
        return []
    found = [(name, *row[:2]) for row in named.iter_rows() for name in set(json.loads(row[2]).values())]
    table = pl.DataFrame(found, schema=["structure", "image_id", "patient_id"], orient="row").group_by("structure")
    counted = table.agg(images=pl.col("image_id").n_unique(), patients=pl.col("patient_id").n_unique()).sort("images", "structure", descending=[True, False])
    text = "They lie beside their images, on the same grid; `label_map_values` names their values. Structures that no known code names are `structure-N`."
    return ["## Label maps", text, _table(counted)]


def _synthetic(rows: pl.DataFrame) -> str:
    synthetic = rows.filter(pl.col("origin") == "synthetic")
    if synthetic.is_empty():
        return "None."
    table = synthetic.group_by("label").agg(images=pl.len(), generators=pl.col("generator_sha256").n_unique()).sort("label")
    text = (
        "Made by a generative model for cells with too few images, trained on train patients only, screened, and accepted by experts one by one. All are in "
        "train, all are marked: `origin = synthetic` in the manifest, a text chunk in the file. What the lift court "
        "says of them, on real test patients, is in `evidence/lift.json`."
    )
    return f"{text}\n\n{_table(table)}"


def _method(rows: pl.DataFrame, release: dict[str, Any]) -> str:
    covered = rows["masked_px"].count()
    heads = rows.filter(pl.col("notes").list.contains(FACE_ACCEPTED)).height
    lines = [
        "Headers were rebuilt from an allow-list, patients and UIDs are keyed pseudonyms, dates are shifted by a secret number of days of each patient.",
        "Equal images are in it once. Patients, and patients who share an equal image, lie on one side of the split.",
        f"Recipe `{release['recipe_sha256']}`, code `{release['code_commit']}`, head of the decision ledger `{release['ledger_head']}`.",
        f"Text in the pixels was covered in {covered} images. It was looked for unless `burned_in_text` of a source says `header`; faint or handwritten text "
        "is not found.",
        f"{heads} images are head volumes from which a face could be drawn, taken because the recipe accepts that. No face was removed. Whoever passes such "
        "images on looks at them first.",
        "Every file's SHA-256 is in `release.json`; each row of `manifest.parquet` carries the hash of its pixels and of its harmonization recipe.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _usage(version: str) -> str:
    code = (
        "from pathlib import Path",
        "from curation.project import Project",
        "from curation.versions import open_version",
        "",
        f'with open_version(Project(Path(".")), "{version}") as version:',
        '    train = version.manifest().filter(split="train")',
        "    pixels = version.pixels(train.row(0, named=True))",
        "    label_map = version.label_map(train.row(0, named=True))    # None where there is none",
    )
    text = "`manifest.parquet` has one row an image; `shards/` holds tar files in WebDataset's layout. Without a checkout:"
    return f"{text}\n\n```python\n" + "\n".join(code) + "\n```"


def describe_croissant(release: dict[str, Any]) -> dict[str, Any]:
    """Return the version as Croissant 1.0 (JSON-LD): its files with hashes, and the columns of the manifest.

    Args:
        release: content of `release.json` with the files that are known so far.
    """
    dataset = release["dataset"]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": dataset["name"],
        "description": dataset["description"] or dataset["name"],
        "license": dataset["licence"],
        "version": f"{release['version'].rpartition('v')[2]}.0.0",
        "datePublished": release["created_at"],
        "distribution": [_file_object(name, sha256) for name, sha256 in sorted(release["files"].items())],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "images", "name": "images", "key": {"@id": "images/image_id"}, "field": _fields()}],
    }


def _file_object(name: str, sha256: str) -> dict[str, Any]:
    kind = {"parquet": "application/x-parquet", "tar": "application/x-tar"}.get(name.rpartition(".")[2], "text/plain")
    return {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name, "encodingFormat": kind, "sha256": sha256}


def _fields() -> list[dict[str, Any]]:
    """Return one Croissant field a column of the manifest that is no nested list."""
    kinds = {"String": "sc:Text", "Int64": "sc:Integer", "Float64": "sc:Float", "Boolean": "sc:Boolean"}
    fields = []
    for column in COLUMNS:
        inner = column.dtype.inner if isinstance(column.dtype, pl.List) else column.dtype
        if isinstance(inner, pl.List):
            continue
        field: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": f"images/{column.name}",
            "name": column.name,
            "description": column.description + (f" [{column.unit}]" if column.unit else ""),
            "dataType": kinds[str(inner)],
            "source": {"fileObject": {"@id": "manifest.parquet"}, "extract": {"column": column.name}},
        }
        fields.append(field | ({"repeated": True} if inner is not column.dtype else {}))
    return fields


_CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column", "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/", "data": {"@id": "cr:data", "@type": "@json"}, "dataBiases": "cr:dataBiases", "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "dct": "http://purl.org/dc/terms/", "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty", "fileSet": "cr:fileSet",
    "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5",
    "parentField": "cr:parentField", "path": "cr:path", "personalSensitiveInformation": "cr:personalSensitiveInformation", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace", "sc": "https://schema.org/",
    "equivalentProperty": "cr:equivalentProperty", "rai": "http://mlcommons.org/croissant/RAI/", "samplingRate": "cr:samplingRate",
    "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip
