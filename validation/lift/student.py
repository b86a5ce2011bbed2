"""The student of the court: a softmax regression that every arm trains with the same number of optimizer steps and the same batch size.

All trainings of one split run side by side as one stack of matrices. Trainings of one seed draw their batches from the same random numbers,
so two arms differ by their images and by little else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from validation.lift.judgement import Schedule

Floats32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

LEARNING_RATE = 0.03
MOMENTS = (0.9, 0.99)
STACK = 32
"""Trainings that run side by side: more do not fit into the cache of a small processor."""


@dataclass(frozen=True)
class Training:
    """One arm with one seed.

    Attributes:
        added: `(m,)` rows of the pool that are added to the real train rows; a row may stand there more than once.
        schedule: `mix`: real and added together; `pretrain`: added first, with real images of the classes that nothing is added to, then real
            only; `decay`: together, with fewer and fewer added; `none`: nothing is added.
        is_weighted: whether each class weighs the same in the loss.
        decay: weight decay of the student, chosen for the arm of real images alone.
        seed: of the batches.
    """

    added: Rows
    schedule: Schedule
    is_weighted: bool
    decay: float
    seed: int


@dataclass(frozen=True)
class Pool:
    """What can be trained on in one split.

    Attributes:
        features: `(P, K)` float32, projected; the first `real` rows are the real train images.
        codes: `(P,)` class numbers.
        real: number of real train rows.
        classes: number of classes.
    """

    features: Floats32
    codes: Rows
    real: int
    classes: int


def train_students(pool: Pool, trainings: list[Training], steps: int, batch_size: int, stack: int = STACK) -> Floats32:
    """Return `(A, K + 1, C)` float32: weights of each of the A trainings, the bias in the last row. Equal trainings give equal weights.

    `stack` of them run at once; it changes nothing but the time.
    """
    stacks = [trainings[start : start + stack] for start in range(0, len(trainings), stack)]
    return np.concatenate([_train_stack(pool, together, steps, batch_size) for together in stacks])


def predict(features: Floats32, weights: Floats32) -> Floats32:
    """Return `(N, C)` logits of `(N, K)` projected features by one student's `(K + 1, C)` weights."""
    logits: Floats32 = features @ weights[:-1] + weights[-1]
    return logits


def softmax(logits: Floats32) -> Floats32:
    """Return probabilities over the last axis; there are few classes, and numpy is many times faster along a first axis than along a short last one."""
    by_class = np.ascontiguousarray(np.moveaxis(logits, -1, 0))
    shifted = np.exp(by_class - by_class.max(axis=0))
    return np.moveaxis(shifted / shifted.sum(axis=0), 0, -1)


def draw_batches(pool: Pool, training: Training, steps: int, batch_size: int) -> Rows:
    """Return `(steps, batch_size)` rows of the pool, drawn with replacement as the schedule says."""
    kind, place = np.random.default_rng(training.seed).random((2, steps, batch_size))
    every = np.arange(pool.real)
    real: Rows = every[(place * len(every)).astype(np.int64)]
    if not len(training.added):
        return real
    added = training.added[(place * len(training.added)).astype(np.int64)]
    share = np.full((steps, 1), len(training.added) / (pool.real + len(training.added)))
    if training.schedule == "decay":
        left = len(training.added) * np.linspace(1, 0, steps)[:, None]
        share = left / (pool.real + left)
    elif training.schedule == "pretrain":
        others = every[~np.isin(pool.codes[: pool.real], pool.codes[training.added])]
        first = steps // 2
        if len(others):
            real[:first] = others[(place[:first] * len(others)).astype(np.int64)]
        share[:first], share[first:] = len(training.added) / (len(others) + len(training.added)), 0
    drawn: Rows = np.where(kind < share, added, real)
    return drawn


def _class_weights(pool: Pool) -> Floats32:
    """Return `(C,)` weights with which each class of real train counts the same; their mean over the images is 1."""
    counts = np.bincount(pool.codes[: pool.real], minlength=pool.classes)
    return np.where(counts > 0, pool.real / np.maximum(counts, 1) / max(1, (counts > 0).sum()), 1).astype(np.float32)


def _train_stack(pool: Pool, trainings: list[Training], steps: int, batch_size: int) -> Floats32:
    """Train side by side with Adam (Kingma and Ba 2015) and a cosine learning rate that ends at 0."""
    number, width = len(trainings), pool.features.shape[1] + 1
    rows = np.stack([draw_batches(pool, training, steps, batch_size) for training in trainings])
    inputs = np.hstack([pool.features, np.ones((len(pool.features), 1), np.float32)])
    truth = np.eye(pool.classes, dtype=np.float32)[pool.codes]
    each = np.ones((number, pool.classes), np.float32)
    each[[training.is_weighted for training in trainings]] = _class_weights(pool)
    decay = np.array([training.decay for training in trainings], np.float32)[:, None, None] * np.append(np.ones(width - 1, np.float32), 0)[None, :, None]
    weights, first, second = (np.zeros((number, width, pool.classes), np.float32) for _ in range(3))
    for step in range(steps):
        chosen = rows[:, step]
        batch, target = inputs[chosen], truth[chosen]
        error = softmax(batch @ weights) - target
        error *= np.take_along_axis(each, pool.codes[chosen], axis=1)[..., None] / batch_size
        gradient = batch.transpose(0, 2, 1) @ error + decay * weights
        first += (1 - MOMENTS[0]) * (gradient - first)
        second += (1 - MOMENTS[1]) * (gradient * gradient - second)
        rate = LEARNING_RATE * (1 + np.cos(np.pi * step / steps)) / 2
        moved = first / (1 - MOMENTS[0] ** (step + 1)) / (np.sqrt(second / (1 - MOMENTS[1] ** (step + 1))) + 1e-8)
        weights -= np.float32(rate) * moved
    return weights
