"""The report shows what the screens found and what they are worth, and nothing where a round did not measure them."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from curation.pixels import encode_png
from flows.report.screens import describe_screens
from flows.report.write_report import write_report
from synthesis.screening import ScreenPower
from synthesis.screens.agreement import AgreementPower
from synthesis.screens.artefacts import Artefacts
from synthesis.screens.memorization import Power
from synthesis.screens.rates import Rate
from synthesis.screens.shortcut import Auc
from synthesis.screens.source import Shortcut, SourcePower
from synthesis.screens.swap import Swap
from tests.validation.builders import a_ready_project, add_synthetic, make_release

CAUGHT = Rate(9, 10, 0.9, 0.5958, 0.9821)
TOLD = Auc(0.97, 0.93, 0.99, 20, 30)


def a_round(is_measured: bool) -> dict[str, object]:
    """Return a round's report as it is stored."""
    artefacts = Artefacts({"residue": TOLD, "border": Auc(0.55, 0.4, 0.7, 20, 30)}, 1.4, (1.0,) * 7 + (1.93,))
    shortcut = Shortcut("disc", TOLD, Auc(0.6, 0.5, 0.7, 20, 12), artefacts, Swap("disc", 0.1, 0.6, 0.1, 0.2, 0.5, 0.4, 0.6, 40), True, ("probe", "residue"))
    measured = ScreenPower(
        memorization=(Power("disc", 5, CAUGHT, {"copy": CAUGHT, "blended": Rate(1, 5, 0.2, 0.0362, 0.6245)}, None, 0.9),),
        agreement=(AgreementPower("disc", Rate(7, 8, 0.875, 0.5291, 0.9776), None),),
        agreement_by_condition={"label=disc": CAUGHT, "sex=F": Rate(2, 5, 0.4, 0.1176, 0.7693)},
        shortcut=(shortcut,),
        shortcut_power=SourcePower("disc", 40, CAUGHT, {"noise": CAUGHT}, Rate(0, 3, 0.0, 0.0, 0.5615)),
    )
    return {"task": "colour-2d", "screens": asdict(measured if is_measured else ScreenPower())}


def test_planted_faults_are_drawn_by_kind_with_their_counts() -> None:
    """Copies that are missed are seen as well as those that are caught."""
    shown = describe_screens([a_round(is_measured=True)])
    task, power, chart = shown["screen_powers"][0]
    assert (task, power["label"]) == ("colour-2d", "disc")
    assert "blended" in chart
    assert "1 of 5" in chart
    assert "nothing planted" in shown["screen_sources"][0][2]


def test_the_class_screen_is_shown_on_real_images_and_by_condition() -> None:
    """What passes of the class stands beside what passes of the candidates; what val has no image for is left out."""
    ((task, chart),) = describe_screens([a_round(is_measured=True)])["screen_agreements"]
    assert task == "colour-2d"
    assert chart.count("<circle") == 3
    assert "7 of 8" in chart
    assert "sex=F" in chart
    assert "2 of 5" in chart
    assert "stopped" not in chart


def test_the_spectrum_is_drawn_from_coarse_to_fine() -> None:
    """One column a band, with its ratio."""
    spectrum = describe_screens([a_round(is_measured=True)])["screen_shortcuts"][0][3]
    assert spectrum.count("<rect") == 8
    assert spectrum.index("coarse: power 1<") < spectrum.index("fine: power 1.93<")


def test_the_source_is_drawn_and_the_swap_is_told() -> None:
    """Probe and artefacts as areas, the swap as shares."""
    shown = describe_screens([a_round(is_measured=True)])
    chart = shown["screen_shortcuts"][0][2]
    assert "fine noise or blur" in chart
    assert "0.97" in chart
    assert shown["screen_swaps"].rows() == [("colour-2d", "disc", 0.1, 0.6, 0.5, 0.4, 0.6)]


def test_a_round_without_measured_screens_shows_none() -> None:
    """Neither a chart nor a row."""
    shown = describe_screens([a_round(is_measured=False), {"task": "xray-2d"}])
    assert not any(shown[name] for name in ("screen_powers", "screen_agreements", "screen_shortcuts", "screen_sources"))
    assert shown["screen_swaps"].is_empty()


def test_the_page_says_what_the_screens_are_worth(tmp_path: Path) -> None:
    """Planted copies, the source, the swap and planted artefacts stand under the candidates of the generator that the round is about."""
    project = a_ready_project(tmp_path)
    add_synthetic(project, 2)
    folder = project.models / "generator-0"
    folder.mkdir(parents=True)
    grid = folder / "samples-0.png"
    grid.write_bytes(encode_png(np.full((8, 8, 3), 90, np.uint8)))
    told = a_round(is_measured=True) | {"generator_sha256": hashlib.sha256(b"generator").hexdigest(), "fidelity": {}}
    told |= {"sample_grid": grid.relative_to(project.root).as_posix(), "requested": {"ring": 1, "disc": 2}, "warnings": ["the autoencoder keeps <less>"]}
    (folder / "round-0.json").write_text(json.dumps(told))
    make_release(project)
    page = write_report(project).read_text()
    assert "disc, colour-2d: 9 of 10 planted copies found" in page
    assert "Is the class shown?" in page
    assert "Power spectrum: 1.00 times that of the real images where it is coarse, 1.93 times where it is fine" in page
    assert "Yes, by what the encoder sees, fine noise or blur" in page
    assert "<strong>Look out</strong>, colour-2d: the autoencoder keeps &lt;less&gt;." in page
    assert 'id="table-swaps"' in page
    assert "planted artefacts that the source screen found" in page
    assert "Everything that the newest round drew: colour-2d, disc, ring" in page
    assert base64.b64encode(grid.read_bytes()).decode() in page
