"""What each pixel option for X-rays does to site and label, on held-out patients of a project of two sites.

    python -m benchmarks.xray_options PROJECT

The project has raster sources of X-rays and is curated (docs/harmonization.md names the one of the published figures). Each option is compared with the
plain recipe over the same resampled patients.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from adaptation.encoders import load_encoder
from adaptation.site_proof import prove_task
from curation.harmonize.recipes import harmonize
from curation.manifest import read_manifest
from curation.pixels import Pixels
from curation.raster import read_raster
from curation.recipe import HarmonizeSettings, XraySettings
from flows.stages import open_work

OPTIONS = {"border": {"crop": "border"}, "collimation": {"crop": "collimation"}, "clahe 2": {"clahe": 2.0}, "both": {"crop": "collimation", "clahe": 2.0}}


def read_images(rows: pl.DataFrame, paths: dict[str, Path], settings: HarmonizeSettings) -> Iterator[Pixels]:
    """Yield the pixels of each row under another recipe."""
    for row in rows.iter_rows(named=True):
        acquired = next(iter(read_raster(paths[row["image_id"]].read_bytes(), row["modality"], "nobody")))
        yield harmonize(acquired, settings).pixels


def main(folder: Path) -> None:
    """Print one line an option."""
    work = open_work(folder)
    sources = {source.name: source.path for source in work.settings.source}
    kept = pl.read_parquet(work.project.intake).filter(pl.col("outcome") == "kept").explode("image_ids")
    paths = {row["image_ids"]: sources[row["source"]] / row["path"] for row in kept.iter_rows(named=True)}
    rows = read_manifest(work.project.manifest).filter(pl.col("image_id").is_in(list(paths))).drop_nulls("label")
    encoder, size_px = load_encoder(threads=1), work.settings.harmonize.xray.size_px
    plain = encoder.embed(read_images(rows, paths, HarmonizeSettings(xray=XraySettings(size_px=size_px))))
    for name, options in OPTIONS.items():
        recipe = HarmonizeSettings(xray=XraySettings.model_validate({"size_px": size_px, **options}))
        made = encoder.embed(read_images(rows, paths, recipe))
        proof = prove_task("xray-2d", rows, {"plain": plain, name: made}, "label", work.settings.finetune.model_copy(update={"combat": "site"}))
        for effect in proof.effects:
            if effect.variant == name and effect.change is not None:
                change, low, high = effect.change
                print(f"{name:12} {effect.target:20} AUROC {effect.auroc[0]:.3f}  change {change:+.3f} ({low:+.3f} to {high:+.3f})", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
