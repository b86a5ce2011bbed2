"""What experts said of earlier candidates orders and hides new ones, and never without saying how good it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curation.manifest import read_manifest, write_manifest
from curation.pixels import Pixels, encode_png, hash_pixels
from curation.project import Project
from curation.records import to_frame
from curation.shards import write_shards
from synthesis.candidates import Drawn
from synthesis.engines.engine import Wanted
from synthesis.recipe import RewardSettings, SynthesisSettings
from synthesis.remembering import remember
from synthesis.requests import Request
from synthesis.rewarding import Reward, learn_reward
from synthesis.synthesize import load_training_set, synthesize
from synthesis.training_set import usable_rows
from synthesis.verdict_trend import ExpertVerdict, trend_of_verdicts
from tests.builders import a_synthetic_record, an_id
from tests.synthesis.builders import CLASSES, a_gap_table, a_phantom, a_phantom_project, embed_phantoms, tiny_synthesis


def a_candidate(number: int, *, is_bad: bool) -> Pixels:
    """Return a disc that nobody has seen; bad ones are far too bright."""
    image = a_phantom("disc", 5000 + number, 16)
    return np.clip(image.astype(int) + (80 if is_bad else 0), 0, 255).astype(np.uint8)


def a_judged_project(tmp_path: Path, number: int = 60, **screens: Any) -> tuple[Project, list[ExpertVerdict]]:
    """Return a project with judged candidates of two generators: every second one is bad, and rejected as an artefact; 1 verdict in 15 is wrong."""
    project = a_phantom_project(tmp_path, discs=20, stripes=20)
    records, files, verdicts = [], {}, []
    for place in range(number):
        is_bad = place % 2 == 1
        image, image_id = a_candidate(place, is_bad=is_bad), an_id(f"candidate {place}")
        rejected = is_bad ^ (place % 15 == 0)
        own = {"image_id": image_id, "label": "disc", "seed": place, "pixels_sha256": hash_pixels(image), "verdict": "rejected" if rejected else "accepted"}
        version = f"{place * 2 // number}" * 64
        records.append(a_synthetic_record(**own, readers=1, generator_sha256=version, screens=json.dumps(screens), rows=16, columns=16))
        files[f"{image_id}.png"] = encode_png(image)
        verdicts.append(ExpertVerdict(image_id, rejected, ("artefact",) if rejected else (), f"2026-01-01T00:{place:02}:00Z"))
    places = write_shards(sorted(files.items()), project.working_shards)
    stored = [record.model_copy(update=places[f"{record.image_id}.png"]._asdict()) for record in records]
    write_manifest(pl.concat([read_manifest(project.manifest), to_frame(stored)]).sort("image_id"), project.manifest)
    return project, verdicts


def learn(project: Project, verdicts: Sequence[ExpertVerdict], **changes: Any) -> Reward:
    """Return what is learned with some settings of the reward model."""
    settings = tiny_synthesis(reward=RewardSettings(**changes))
    rows = read_manifest(project.manifest)
    train = load_training_set(project, usable_rows(rows, settings.task, "train"), settings)
    return learn_reward(project, rows, train, verdicts, embed_phantoms, settings)


def drawn(number: int = 40) -> Drawn:
    """Return new candidates: every second one is bad."""
    images = [a_candidate(1000 + place, is_bad=place % 2 == 1) for place in range(number)]
    return Drawn(images, [Wanted({"label": "disc"}, place) for place in range(number)], images)


def test_what_experts_reject_is_hidden_but_for_an_audit(tmp_path: Path) -> None:
    """Bad candidates are hidden, good ones are not; a share of the hidden is shown, at a place of its own."""
    project, verdicts = a_judged_project(tmp_path)
    reward, made = learn(project, verdicts, audit_share=0.3, reject_above=0.7, most_calibration_error=0.25), drawn()
    assert (reward.orders, reward.hides) == (True, True)
    results, report = reward.screen(made, [{"memorization": {"passed": True}} for _ in made.images], embed_phantoms)
    good, bad = ([result["reward"] for result in results[start::2]] for start in (0, 1))
    assert np.mean([result["passed"] for result in good]) > 0.9
    shown = [result for result in bad if result["passed"]]
    assert 0 < sum(result["audit"] for result in shown) < len(bad)
    assert len(shown) < 0.6 * len(bad)
    assert (report.hidden, report.audited) == (sum(not one["reward"]["passed"] for one in results), sum(one["reward"]["audit"] for one in results))
    assert bad[0]["reason"] == "artefact"
    assert np.mean([result["priority"] for result in good]) > np.mean([result["priority"] for result in bad if not result["audit"]]) + 0.4
    assert report.quality is not None
    assert report.quality.auroc_low > 0.5
    assert all(result["memorization"] == {"passed": True} for result in results)


def test_the_best_of_several_draws_is_kept(tmp_path: Path) -> None:
    """Of each pair the good one, with its own seed, in the order of the requests."""
    project, verdicts = a_judged_project(tmp_path)
    reward = learn(project, verdicts, best_of=2)
    assert reward.more([Request({"label": "disc"}, 3)]) == [Request({"label": "disc"}, 6)]
    kept = reward.keep_best(drawn(), embed_phantoms)
    assert np.mean([seed % 2 == 0 for seed in kept.seeds]) > 0.9
    assert [seed // 2 for seed in kept.seeds] == list(range(20))
    assert reward.screen(kept, [{} for _ in kept.images], embed_phantoms)[1].drawn == 40


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"least_verdicts": 61}, "60 verdicts (30 rejections) so far, 61 with 10 of each kind"),
        ({"least_each": 31}, "31 of each kind"),
        ({"enabled": False}, "the recipe turns it off"),
    ],
)
def test_with_too_few_verdicts_nothing_changes(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    """The report says what is missing; candidates are drawn and screened as without verdicts."""
    project, verdicts = a_judged_project(tmp_path)
    reward = learn(project, verdicts, best_of=4, **changes)
    assert reason in reward.report.use
    made = drawn(4)
    assert reward.keep_best(made, embed_phantoms) is made
    results, report = reward.screen(made, [{"memorization": {"passed": True}}] * 4, embed_phantoms)
    assert results == [{"memorization": {"passed": True}}] * 4
    assert (report.drawn, report.hidden, report.quality) == (4, 0, None)
    assert [one.judged for one in report.trend] == [30, 30]


def test_a_model_that_tells_nothing_is_not_used(tmp_path: Path) -> None:
    """Verdicts by the flip of a coin: it says so, with the interval."""
    project, verdicts = a_judged_project(tmp_path)
    random = np.random.default_rng(0)
    reward = learn(project, [one._replace(rejected=bool(random.random() < 0.5)) for one in verdicts])
    assert not reward.orders
    assert "does not tell rejected from accepted" in reward.report.use


def test_a_model_with_wrong_probabilities_orders_only(tmp_path: Path) -> None:
    """A recipe that allows no calibration error gets no filter."""
    project, verdicts = a_judged_project(tmp_path)
    reward = learn(project, verdicts, most_calibration_error=0.0)
    assert (reward.orders, reward.hides) == (True, False)
    results, _ = reward.screen(drawn(), [{} for _ in range(40)], embed_phantoms)
    assert all(result["reward"]["passed"] for result in results)


def test_a_round_writes_the_forecast_into_the_rows_and_the_quality_into_the_report(tmp_path: Path) -> None:
    """From working manifest to working manifest, with two draws an image and the figures of fidelity; 30 accepted candidates count as made."""
    project, verdicts = a_judged_project(tmp_path)
    settings: SynthesisSettings = tiny_synthesis(reward=RewardSettings(best_of=2), counterbalance=0.0, candidates=100)
    before = set(read_manifest(project.manifest)["image_id"])
    report = synthesize(project, settings, a_gap_table(missing=30 + 4), embed_phantoms, verdicts=verdicts)
    made = read_manifest(project.manifest).filter(~pl.col("image_id").is_in(sorted(before)))
    assert report.skipped == ""
    assert report.reward is not None
    assert report.reward.quality is not None
    assert (report.sampled, report.reward.drawn) == (4, 8)
    assert [seed // 2 for seed in sorted(made["seed"])] == [0, 1, 2, 3]
    assert all("reject_probability" in json.loads(screens)["reward"] for screens in made["screens"])
    assert report.fidelity["disc"].synthetic_images == 4
    assert report.fidelity["disc"].caution
    (kept,) = project.models.glob("generator-*/round-0.json")
    assert json.loads(kept.read_text())["reward"]["quality"]["verdicts"] == 60


def test_the_trend_counts_by_generator_in_the_order_of_review(tmp_path: Path) -> None:
    """Rejections with their interval, reasons, and what the audit found."""
    project, verdicts = a_judged_project(tmp_path, number=20, reward={"audit": True, "passed": True})
    later = [one._replace(reviewed_at="2027") if place < 10 else one for place, one in enumerate(verdicts)]
    first, second = trend_of_verdicts(read_manifest(project.manifest), [*later, ExpertVerdict("unknown", True, (), "")])
    assert (first.generator, second.generator) == ("1" * 12, "0" * 12)
    assert (second.judged, second.rejected, second.reasons) == (10, 6, {"artefact": 6})
    assert second.share_low < second.share == 0.6 < second.share_high
    assert (second.audited, second.audited_rejected) == (10, 6)
    assert trend_of_verdicts(read_manifest(project.manifest), ()) == ()


def test_every_image_is_embedded_once() -> None:
    """Equal pixels are one image, in whatever call; the order of the answer is that of the question."""
    asked: list[int] = []

    def counting(images: list[Pixels]) -> Any:
        asked.append(len(images))
        return embed_phantoms(images)

    embed, images = remember(counting), [a_phantom(label, number) for label in CLASSES for number in range(3)]
    first = embed(images)
    again = embed([images[4], images[0].copy(), a_phantom("disc", 9), images[4]])
    assert asked == [6, 1]
    assert np.array_equal(again[[0, 1, 3]], first[[4, 0, 4]])
