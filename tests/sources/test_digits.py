from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from rnngraph.sources.digits import load_digits


@pytest.mark.parametrize(("split", "count"), [("train", 800), ("held_out", 200)])
def test_every_part_is_balanced_and_so_is_its_start(split: str, count: int) -> None:
    data = load_digits(split)
    assert data.images.shape == (count, 8, 8)
    assert data.images.dtype == np.uint8
    assert data.images.max() == 16
    assert np.bincount(data.digits).tolist() == [count // 10] * 10
    assert data.digits[:10].tolist() == list(range(10))


def test_nothing_is_held_out_and_trained_on() -> None:
    train = {image.tobytes() for image in load_digits("train").images}
    assert not train & {image.tobytes() for image in load_digits("held_out").images}


def test_features_are_shares_of_full_ink() -> None:
    data = load_digits()
    features = data.features(np.float32)
    assert features.dtype == np.float32
    assert features.shape == (800, 64)
    assert features[5, 8 * 2 + 3] == data.images[5, 2, 3] / 16


def test_the_file_is_small_and_credited() -> None:
    folder = files("rnngraph.sources")
    assert len(folder.joinpath("digits.npz").read_bytes()) < 60_000
    credit = folder.joinpath("digits.txt").read_text(encoding="utf-8")
    assert "Alpaydin" in credit
    assert "Creative Commons Attribution 4.0" in credit


def test_the_images_are_those_of_the_set() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn holds the original")
    images, digits = datasets.load_digits(return_X_y=True)
    original = {(image.astype(np.uint8).tobytes(), int(digit)) for image, digit in zip(images, digits, strict=True)}
    for split in ("train", "held_out"):
        data = load_digits(split)
        ours = {(image.tobytes(), int(digit)) for image, digit in zip(data.images, data.digits, strict=True)}
        assert ours <= original
