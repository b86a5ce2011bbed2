"""How the network learns."""

from __future__ import annotations

import pytest
import torch

from synthesis.conditions import read_vocabulary
from synthesis.engines.pixel import make_lessons
from synthesis.training import Lessons, average_decay, class_weights, draw_batch, learning_rate, loss_weights
from tests.synthesis.builders import tiny_generator, training_examples


def the_lessons() -> tuple[Lessons, torch.Tensor]:
    """Return the phantoms with balanced weights."""
    examples = training_examples()
    lessons = make_lessons(examples, read_vocabulary(examples.conditions, ()))
    return lessons, class_weights(lessons.codes[:, 0], 1.0)


def test_a_balanced_draw_gives_every_class_the_same_chance() -> None:
    """The worked value of the docstring."""
    assert class_weights(torch.tensor([0, 0, 0, 1]), 1.0).tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_without_balance_every_image_has_the_same_chance() -> None:
    """Balance 0 is the natural distribution."""
    assert class_weights(torch.tensor([0, 0, 0, 1]), 0.0).tolist() == pytest.approx([1 / 4] * 4)


def test_the_weight_of_the_loss_is_the_snr_kept_between_a_quarter_and_five() -> None:
    """The worked values of the docstring."""
    assert loss_weights(torch.tensor([0.0, 1.0, 9.0])).tolist() == pytest.approx([0.25, 0.5, 0.5])


def test_a_step_draws_the_same_batch_whenever_it_is_asked() -> None:
    """Resuming needs no stored random state."""
    (lessons, weights), settings = the_lessons(), tiny_generator()
    first = draw_batch(5, lessons, weights, settings)
    draw_batch(6, lessons, weights, settings)
    again = draw_batch(5, lessons, weights, settings)
    other = draw_batch(6, lessons, weights, settings)
    assert all(torch.equal(a, b) for a, b in zip(first[:4], again[:4], strict=True))
    assert not torch.equal(first.noise, other.noise)


def test_images_are_flipped_only_as_the_recipe_allows() -> None:
    """Without flips every drawn image is a train image; with vertical ones some are upside down."""
    lessons, weights = the_lessons()
    images = lessons.images / 127.5 - 1

    def kinds(flips: tuple[str, ...]) -> set[str]:
        batch = draw_batch(0, lessons, weights, tiny_generator(flips=flips, batch_size=32))
        variants = {"as it is": images, "mirrored": images.flip(-1), "upside down": images.flip(-2), "turned": images.flip(-1).flip(-2)}
        return {name for clean in batch.clean for name, known in variants.items() if (known == clean).all(dim=(1, 2, 3)).any()}

    assert kinds(()) == {"as it is"}
    assert kinds(("horizontal",)) == {"as it is", "mirrored"}
    assert kinds(("horizontal", "vertical")) == {"as it is", "mirrored", "upside down", "turned"}


def test_labels_are_dropped_at_the_wanted_rate() -> None:
    """A dropped label becomes the null label."""
    lessons, weights = the_lessons()
    batch = draw_batch(0, lessons, weights, tiny_generator(label_drop=0.25, batch_size=2000))
    assert (batch.codes[:, 0] == 2).float().mean().item() == pytest.approx(0.25, abs=0.04)


def test_other_columns_are_dropped_by_themselves_too() -> None:
    """A label may stand with an unknown sex; a dropped label takes the sex with it."""
    examples = training_examples(6, sex=("F", "M") * 6)
    lessons = make_lessons(examples, read_vocabulary(examples.conditions, ("sex",)))
    codes = draw_batch(0, lessons, class_weights(lessons.codes[:, 0], 1.0), tiny_generator(label_drop=0.25, batch_size=2000)).codes
    no_label, no_sex = codes[:, 0] == 2, codes[:, 1] == 5
    assert no_sex[no_label].all()
    assert (no_sex & ~no_label).float().mean().item() == pytest.approx(0.75 * 0.25, abs=0.04)


def test_offset_noise_moves_the_mean_of_an_image() -> None:
    """Its standard deviation over images is that of the offset, where plain noise has 1/16 at 16 × 16 pixels."""
    lessons, weights = the_lessons()
    spreads = [draw_batch(0, lessons, weights, tiny_generator(noise_offset=offset, batch_size=500)).noise.mean(dim=(2, 3)).std() for offset in (0.0, 0.5)]
    assert [float(spread) for spread in spreads] == pytest.approx([1 / 16, (0.25 + 1 / 256) ** 0.5], rel=0.1)


def test_the_learning_rate_rises_then_falls() -> None:
    """It depends on the step only."""
    settings = tiny_generator(steps=1000, learning_rate=1e-3)
    rates = [learning_rate(step, settings) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-3 / 50)
    assert max(rates) == pytest.approx(1e-3, rel=0.02)
    assert rates[-1] < 2e-5


def test_the_average_forgets_the_beginning() -> None:
    """The first decay is 0, later ones reach the recipe's."""
    settings = tiny_generator(ema_decay=0.99)
    assert average_decay(0, settings) == 0
    assert average_decay(100_000, settings) == 0.99
