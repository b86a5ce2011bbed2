"""Two simulated MR vendors with a planted difference, and what each intensity scale leaves of it, on held-out patients.

    python -m benchmarks.planted_vendors

Phantom heads: vendor B has another gain, another contrast (gamma) and a coil shading. The label is a lesion in half of the heads of both vendors. Nyúl is
fitted on train. AUROC of vendor and lesion from EfficientNet-Lite0 with 95 % intervals over patients.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from adaptation.encoders import load_encoder
from adaptation.recipe import FinetuneSettings
from adaptation.site_proof import prove_task
from curation.harmonize.foreground import find_foreground
from curation.harmonize.mr import harmonize_mr
from curation.harmonize.nyul import fit_nyul, landmarks_of
from curation.recipe import MrSettings

PATIENTS = 160
MM = (3.0, 3.0, 3.0)
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


def a_head(vendor: str, is_ill: bool, rng: np.random.Generator) -> np.ndarray:
    """Return a `(24, 48, 48)` head in the units of its scanner."""
    d, h, w = np.indices((24, 48, 48))
    size = rng.normal(1, 0.05, 3)
    radius = np.sqrt(((d - 12) / (11 * size[0])) ** 2 + ((h - 24) / (21 * size[1])) ** 2 + ((w - 24) / (20 * size[2])) ** 2)
    tissue = np.select([radius < 0.45, radius < 0.75, radius < 0.85, radius < 1], [0.85, 0.55, 0.05, 0.75], 0.0)
    if is_ill:
        place = rng.normal((12, 24, 24), (1.5, 5, 5))
        tissue = np.where(np.sqrt((d - place[0]) ** 2 + (h - place[1]) ** 2 + (w - place[2]) ** 2) < rng.uniform(2.5, 4.5), 1.0, tissue)
    tissue = np.clip(tissue + rng.normal(0, 0.03, tissue.shape), 0, None)
    if vendor == "B":
        return np.asarray(tissue**1.6 * 900 * (1 + 0.25 * (w - 24) / 24) * rng.normal(1, 0.1), np.float32)
    return np.asarray(tissue * 200 * rng.normal(1, 0.1), np.float32)


def main() -> None:
    """Print one line a target and scale."""
    rng = np.random.default_rng(0)
    vendors, ill = rng.choice(["A", "B"], PATIENTS), rng.random(PATIENTS) < 0.5
    side = rng.choice(["train", "val", "test"], PATIENTS, p=[0.5, 0.15, 0.35])
    heads = [a_head(vendor, bool(is_ill), rng) for vendor, is_ill in zip(vendors, ill, strict=True)]
    z = [harmonize_mr(head, AFFINE, MrSettings(foreground="body", clip_z=100))[0] for head, of in zip(heads, side, strict=True) if of == "train"]
    points = fit_nyul(landmarks_of(volume[find_foreground(volume, "body", MM)]) for volume in z)
    scales = {
        "plain": MrSettings(intensity="min_max"),
        "robust z": MrSettings(),
        "robust z, body": MrSettings(foreground="body"),
        "Nyúl, body": MrSettings(intensity="nyul", foreground="body", nyul=points),
        "N4, Nyúl, body": MrSettings(bias_field="n4", bias_shrink=2, intensity="nyul", foreground="body", nyul=points),
    }
    encoder = load_encoder(threads=1)
    features = {name: encoder.embed(harmonize_mr(head, AFFINE, settings)[0] for head in heads) for name, settings in scales.items()}
    names = [f"p{number:03}" for number in range(PATIENTS)]
    columns = {"patient_id": names, "group_id": names, "site": vendors, "label": np.where(ill, "lesion", "none"), "split": side}
    rows = pl.DataFrame(columns).with_columns(origin=pl.lit("acquired"))
    proof = prove_task("mr-3d", rows, features, "label", FinetuneSettings(combat="site"))
    for effect in proof.effects:
        value, low, high = effect.auroc
        print(f"{effect.target:20} {effect.variant:28} {value:.3f} ({low:.3f} to {high:.3f})")
    print("\n".join((*proof.warnings, *proof.verdicts)))


if __name__ == "__main__":
    main()
