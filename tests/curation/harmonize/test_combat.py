"""ComBat: the published numbers, fitted on train only, one image at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from curation.errors import IntegrityError, UsageError
from curation.harmonize.combat import Floats, Names, fit_combat, load_combat, save_combat, shrink_location, shrink_spread, spread_prior
from curation.harmonize.covariates import HIDDEN_WHEN_APPLIED, fit_covariates


def three_sites() -> tuple[Floats, Names, Floats]:
    """Return `(60, 12)` features of three sites that differ in mean and spread, their sites, and centred age and sickness."""
    rng = np.random.default_rng(7)
    site = np.repeat(["a", "b", "c"], [15, 20, 25])
    age, sick = rng.uniform(20, 80, 60), rng.integers(0, 2, 60)
    y = rng.normal(0, 1, (60, 12)) * rng.uniform(0.5, 2, 12) + rng.normal(0, 3, 12) + age[:, None] * 0.02 + sick[:, None] * 0.5
    y[site == "b"] = y[site == "b"] * 1.8 + 2
    y[site == "c"] -= 1.5
    known = np.stack([age, sick], axis=1)
    return y, site, known - known.mean(0)


def test_the_formulas_have_their_worked_values() -> None:
    """The docstrings' examples."""
    assert shrink_location(np.array([2.0]), 0.0, 1.0, 4, np.array([2.0]))[0] == pytest.approx(8 / 6)
    assert shrink_spread(np.array([6.0]), 4, 4.0, 3.0)[0] == pytest.approx(1.2)
    assert spread_prior(np.array([0.5, 1.5])) == pytest.approx((4.0, 3.0))


def test_the_answer_is_that_of_neurocombat() -> None:
    """Rows 0, 20 and 59, features 0 to 3, as neuroCombat 0.2.12 returns them with age and sickness preserved, and without."""
    features, sites, known = three_sites()
    with_both = fit_combat(features, sites, known).apply(features, sites, known)[[0, 20, 59], :4]
    expected = [[-0.32937, 1.79913, -0.30633, 3.21014], [0.14261, 0.77099, -1.9758, 1.34004], [-0.77851, 0.97045, -3.29681, 4.39117]]
    np.testing.assert_allclose(with_both, expected, atol=2e-5)
    without = fit_combat(features, sites).apply(features, sites)[[0, 20, 59], :4]
    expected = [[-0.35635, 1.76292, -0.31624, 3.22363], [0.29089, 1.08798, -1.73574, 1.63846], [-0.81876, 0.8429, -3.48291, 4.49921]]
    np.testing.assert_allclose(without, expected, atol=2e-5)


def test_sites_have_the_same_mean_and_spread_afterwards() -> None:
    """On many images per site little shrinks, so that the planted difference is gone."""
    rng = np.random.default_rng(0)
    sites = np.repeat(["a", "b"], 400)
    features = rng.normal(0, 1, (800, 6))
    features[400:] = features[400:] * 3 + 5
    made = fit_combat(features, sites).apply(features, sites)
    np.testing.assert_allclose(made[:400].mean(0), made[400:].mean(0), atol=0.2)
    np.testing.assert_allclose(made[:400].std(0), made[400:].std(0), rtol=0.1)


def test_what_is_preserved_stays() -> None:
    """Sick patients are three times as frequent at b: preserved, their mark stays at its size; not preserved, part of it goes as if it were the site's."""
    rng = np.random.default_rng(1)
    sites = np.repeat(["a", "b"], 400)
    sick = np.concatenate([rng.random(400) < 0.25, rng.random(400) < 0.75])
    features = rng.normal(0, 1, (800, 8)) + 2.0 * sick[:, None] + 4.0 * (sites == "b")[:, None]
    rows = pl.DataFrame({"label": np.where(sick, "sick", "well")})
    known = fit_covariates(rows, ("label",)).encode(rows)

    def mark(made: np.ndarray) -> float:
        return float(made[sick].mean() - made[~sick].mean())

    assert mark(fit_combat(features, sites, known).apply(features, sites)) == pytest.approx(2.0, abs=0.15)
    assert mark(fit_combat(features, sites).apply(features, sites)) < 1.8


def test_an_image_s_answer_depends_on_nothing_but_itself() -> None:
    """Applied alone or among others, and whatever its label: the same features."""
    features, sites, _ = three_sites()
    rows = pl.DataFrame({"label": ["sick", "well"] * 30, "age_years": np.linspace(20, 80, 60)})
    covariates = fit_covariates(rows, ("label", "age_years"))
    model = fit_combat(features, sites, covariates.encode(rows))
    turned = rows.with_columns(label=pl.col("label").reverse())
    together = model.apply(features, sites, covariates.encode(rows, HIDDEN_WHEN_APPLIED), "nearest")
    np.testing.assert_array_equal(together, model.apply(features, sites, covariates.encode(turned, HIDDEN_WHEN_APPLIED), "nearest"))
    alone = model.apply(features[7:8], sites[7:8], covariates.encode(rows[7:8], HIDDEN_WHEN_APPLIED))
    np.testing.assert_array_equal(alone[0], together[7])


def test_an_unseen_site_meets_the_policy_of_the_recipe() -> None:
    """Refused with a sentence; left as it is; or treated as the site that it resembles."""
    features, sites, _ = three_sites()
    model = fit_combat(features, sites)
    strange = np.full(20, "elsewhere")
    with pytest.raises(UsageError, match="20 images come from sites"):
        model.apply(features[15:35], strange, unseen="refuse")
    np.testing.assert_allclose(model.apply(features[15:35], strange, unseen="pooled"), features[15:35], rtol=1e-6)
    alike = [
        (model.apply(features[n : n + 1], strange[:1], unseen="nearest") == model.apply(features[n : n + 1], sites[n : n + 1])).all() for n in range(15, 35)
    ]
    assert np.mean(alike) > 0.7


def test_a_site_of_four_images_is_not_modelled() -> None:
    """Too few to know its spread; it counts as unseen."""
    features, sites, _ = three_sites()
    sites = sites.copy()
    sites[:4] = "tiny"
    model = fit_combat(features, sites)
    assert model.sites == ("a", "b", "c")
    assert model.images == (11, 20, 25)


def test_sites_that_decide_the_label_are_refused() -> None:
    """Every patient of b is sick, nobody else: what is the site's cannot be known."""
    features, sites, _ = three_sites()
    with pytest.raises(UsageError, match="cannot be told from the sites"):
        fit_combat(features, sites, (sites == "b")[:, None] - 1 / 3)
    with pytest.raises(UsageError, match="two sites"):
        fit_combat(features, np.full(60, "a"))


def test_constant_features_pass_unchanged() -> None:
    """A feature that never moves has no site to take away."""
    features, sites, _ = three_sites()
    features[:, 3] = 2.5
    assert (fit_combat(features, sites).apply(features, sites)[:, 3] == 2.5).all()


def test_parameters_survive_the_disk(tmp_path: Path) -> None:
    """Saved and loaded, they give the same features; another file is refused."""
    features, sites, known = three_sites()
    model = fit_combat(features, sites, known)
    save_combat(model, tmp_path / "combat.safetensors", {"column": "site"})
    again, about = load_combat(tmp_path / "combat.safetensors")
    np.testing.assert_array_equal(again.apply(features, sites, known), model.apply(features, sites, known))
    assert about == {"column": "site"}
    (tmp_path / "other").write_bytes(b"no")
    with pytest.raises(IntegrityError):
        load_combat(tmp_path / "other")


def test_missing_values_count_as_the_mean_of_train() -> None:
    """Numbers in units of their deviation, categories as centred marks."""
    rows = pl.DataFrame({"age_years": [20.0, 40.0, None], "sex": ["F", None, "M"], "site": ["x", "x", "x"]})
    covariates = fit_covariates(rows, ("age_years", "sex", "site"))
    np.testing.assert_allclose(covariates.encode(rows), [[-1, -0.5], [1, 0], [0, 0.5]])
    with pytest.raises(UsageError, match="no column"):
        fit_covariates(rows, ("shoe",))
