"""The numbers that say how much data and training is enough, each with where it was measured.

All are from HAM10000 (dermoscopy, split by lesion), images of 64 px or a frozen encoder with logistic regression; on other images they are a first guess.
"""

from __future__ import annotations

from synthesis.latents.rebuilding import steps_of_autoencoder
from synthesis.recipe import GeneratorSettings

COLLECT = "On HAM10000 ten more real lesions of a class of ten raised its average precision by .17, duplicates, SMOTE and augmentation by at most .06"
"""Vascular lesions: .40, .56 and .64 with 10, 20 and 40 train lesions. Fewer were not tried, hence the default of `least_class_patients`."""
PLAUSIBLE_STEPS = 3843
SMEARED_STEPS = 853
STEPS = (
    f"on HAM10000 at 64 px {SMEARED_STEPS} steps of 32 images drew smears and {PLAUSIBLE_STEPS:,} steps plausible lesions, "
    "and neither won against duplicates of real images"
)
VIEWS = (
    "on HAM10000 at 64 px, when each rare image had been looked at 58 times, .5 % of the drawn images were nearer to a train image than 95 % of held-out ones; "
    "after 260 times 9–13 % were; training until copies appear grows in proportion to the number of images (Favero et al., 2025)"
)
TOO_BRIEF = {
    "latent": (
        400 * 16,
        "on HAM10000 at 64 px 400 steps of 16 rebuilt held-out images with 29.0 dB, and shrunk four times and enlarged they kept 33.7",
    ),
    "volume": (100 * 4, "of real MR volumes 100 steps of 4 crops rebuilt others with 20.5 dB, and shrunk four times and enlarged they kept 31.0"),
}
"""Images that an autoencoder looked at when it still kept less than shrinking does, and what it kept."""


def warn_of_autoencoder(generator: GeneratorSettings) -> str:
    """Return one sentence when the autoencoder of this generator would be trained so briefly that shrinking was measured to keep more; else an empty one."""
    steps = steps_of_autoencoder(generator) if generator.engine in TOO_BRIEF else None
    own, key = generator.volume if generator.engine == "volume" else generator.latent, f"synthesis.generator.{generator.engine}.steps"
    if steps is None or steps * own.batch_size > TOO_BRIEF[generator.engine][0]:
        return ""
    remedy = f"raise {key}" + (", or set synthesis.generator.engine = 'pixel'" if generator.engine == "latent" else "")
    return (
        f"the autoencoder will likely keep less than shrinking does ({key}: {steps:,} of {own.batch_size} images); {TOO_BRIEF[generator.engine][1]}: {remedy}"
    )
