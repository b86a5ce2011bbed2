"""How much junk a model of the experts' verdicts keeps from them, on simulated candidates whose faults are known.

    python -m benchmarks.reward --images FOLDER --table CSV --label dx --patient lesion_id

There are no experts and no generator here. Candidates are real images of patients that the anchor does not know, most of them with a planted fault: the
picture of another class, a pattern of pixels, a blur, or shuffled parts. A simulated reader rejects each with a probability that grows with the fault's
strength, so the true probability of every rejection is known. The model learns from some verdicts and is measured on candidates of other patients.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptation.encoders import load_encoder
from curation.pixels import Pixels
from synthesis.reward import Anchor, Judged, calibration_error, fit_anchor, fit_reward

SIZE_PX = 64
GENERATORS = 4
FAULTS = ("wrong class", "artefact", "poor quality", "not plausible")
VERDICTS = (40, 80, 160, 320)
REJECT_ABOVE = 0.9
BEST_OF = 4


@dataclass(frozen=True)
class Candidates:
    """Simulated candidates: features, wanted class, true probability of a rejection, fault and generator of each."""

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.str_]
    chance: npt.NDArray[np.float64]
    faults: npt.NDArray[np.str_]
    generators: npt.NDArray[np.str_]


def main() -> None:
    """Print one line for each number of verdicts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reward", description=(__doc__ or "").partition("\n")[0])
    for name in ("images", "table"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("label", "patient"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--image", default="image_id", help="column with the name of the file")
    parser.add_argument("--candidates", type=int, default=1600)
    parser.add_argument("--seeds", type=int, default=10)
    chosen = parser.parse_args()
    pools = split_images(chosen)
    embed = load_encoder().embed
    anchor = fit_anchor(embed(pools[0][0]), pools[0][1], pools[0][2])
    judged, fresh = (plant_candidates(pool, chosen.candidates // 2, seed, embed) for seed, pool in enumerate(pools[1:]))
    print(f"{np.mean(fresh.chance):.0%} of the candidates are rejected; {len(judged.labels)} judged, {len(fresh.labels)} fresh, of other patients")
    print("| verdicts | AUROC said | AUROC true | ECE said | ECE true | reason right | rejected: all | above .9 hidden | best of 4 | good ones hidden |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for number in VERDICTS:
        found = [measure(judged, fresh, anchor, number, seed) for seed in range(chosen.seeds)]
        rows = np.array([one for one in found if one is not None])
        cells = " | ".join(f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(np.nanmean(rows, 0), np.nanstd(rows, 0), strict=True))
        print(f"| {number} ({len(rows)} of {chosen.seeds} learned) | {cells} |", flush=True)


Pool = tuple[list[Pixels], list[str], list[str]]


def split_images(chosen: argparse.Namespace) -> list[Pool]:
    """Return images, labels and patients of three sets of patients: the anchor's, those behind the judged candidates, those behind the fresh ones."""
    import cv2

    with chosen.table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    paths = {path.stem: path for path in chosen.images.iterdir()}
    patients = np.random.default_rng(0).permutation(sorted({row[chosen.patient] for row in rows}))
    side = {patient: min(2, place * 4 // len(patients)) for place, patient in enumerate(patients)}
    pools: list[Pool] = [([], [], []), ([], [], []), ([], [], [])]
    counts: dict[tuple[int, str], int] = defaultdict(int)
    for row in rows:
        place, label = side[row[chosen.patient]], row[chosen.label]
        if counts[place, label] < 120 and row[chosen.image] in paths:
            counts[place, label] += 1
            image = cv2.imread(str(paths[row[chosen.image]]), cv2.IMREAD_COLOR)
            if image is None:
                raise SystemExit(f"{row[chosen.image]} cannot be read as an image")
            small = cv2.resize(image, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)[..., ::-1]
            images, labels, owners = pools[place]
            images.append(np.ascontiguousarray(small))
            labels.append(label)
            owners.append(row[chosen.patient])
    return pools


def plant_candidates(pool: Pool, number: int, seed: int, embed: Any) -> Candidates:
    """Return candidates made of a pool; later generators make fewer faults."""
    random = np.random.default_rng([7, seed])
    images, labels, classes = pool[0], np.array(pool[1]), sorted(set(pool[1]))
    made, wanted, chance, faults, generators = [], [], [], [], []
    for _ in range(number):
        generator, label = int(random.integers(GENERATORS)), str(random.choice(classes))
        fault = str(random.choice(FAULTS)) if random.random() < 0.9 - 0.15 * generator else "none"
        strength = float(random.random())
        is_other = fault == "wrong class"
        source = random.choice(np.flatnonzero(labels != label if is_other else labels == label))
        made.append(spoil(images[int(source)], fault, strength, random))
        chance.append(0.06 if fault == "none" else 0.9 if is_other else 0.1 + 0.86 / (1 + np.exp(-12 * (strength - 0.4))))
        wanted.append(label)
        faults.append(fault)
        generators.append(f"generator {generator}")
    return Candidates(embed(made), np.array(wanted), np.array(chance), np.array(faults), np.array(generators))


def spoil(image: Pixels, fault: str, strength: float, random: np.random.Generator) -> Pixels:
    """Return an image with a fault of strength 0 to 1."""
    import cv2

    if fault == "artefact":
        board = np.indices(image.shape[:2]).sum(0) % 2 * 2 - 1
        return np.asarray(np.clip(np.rint(image + 28 * strength * board[..., None]), 0, 255), np.uint8)
    if fault == "poor quality":
        return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.3 + 3 * strength))
    if fault == "not plausible":
        parts = 4
        side = image.shape[0] // parts
        places = [(row, column) for row in range(parts) for column in range(parts)]
        moved = random.permutation(len(places))[: round(strength * len(places))]
        spoiled = image.copy()
        for one, other in zip(moved, np.roll(moved, 1), strict=True):
            (row, column), (from_row, from_column) = places[one], places[other]
            patch = image[from_row * side : (from_row + 1) * side, from_column * side : (from_column + 1) * side]
            spoiled[row * side : (row + 1) * side, column * side : (column + 1) * side] = patch
        return spoiled
    return image


def measure(judged: Candidates, fresh: Candidates, anchor: Anchor, number: int, seed: int) -> tuple[float, ...] | None:
    """Return the figures of a model of `number` verdicts on the fresh candidates; None when the model learned nothing."""
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng([8, number, seed])
    chosen = random.permutation(len(judged.labels))[:number]
    rejected = random.random(number) < judged.chance[chosen]
    reasons = tuple(
        (str(fault),) if bad and fault != "none" else ("poor quality",) if bad else () for fault, bad in zip(judged.faults[chosen], rejected, strict=True)
    )
    model = fit_reward(Judged(judged.features[chosen], tuple(judged.labels[chosen]), rejected, reasons, tuple(judged.generators[chosen])), anchor, seed)
    if model is None:
        return None
    forecasts = model.judge(fresh.features, list(fresh.labels))
    said = np.array([forecast.reject_probability for forecast in forecasts])
    truly = random.random(len(said)) < fresh.chance
    faulty = (fresh.faults != "none") & (fresh.chance > 0.5)
    told = np.array([forecast.reason for forecast in forecasts])
    groups = random.permutation(len(said))[: len(said) // BEST_OF * BEST_OF].reshape(-1, BEST_OF)
    best = groups[np.arange(len(groups)), said[groups].argmin(1)]
    kept, good = said <= REJECT_ABOVE, fresh.chance < 0.3
    return (
        model.quality.auroc,
        float(roc_auc_score(truly, said)),
        model.quality.calibration_error,
        calibration_error(said, truly),
        float(np.mean(told[faulty] == fresh.faults[faulty])),
        float(truly.mean()),
        float(truly[kept].mean()),
        float(truly[best].mean()),
        float(np.mean(~kept[good])),
    )


if __name__ == "__main__":
    main()
