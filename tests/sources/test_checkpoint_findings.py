"""What is wrong with a checkpoint's numbers: NaN by the tensor's name, and weights that are missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import InputError
from tests.sources.small_checkpoints import X, loaded, our_arrays, our_layer, saved


def test_nan_weights_are_a_finding_with_the_tensors_name(tmp_path: Path) -> None:
    arrays = our_arrays(our_layer(), "decoder.")
    arrays["decoder.Wh"][1, 2] = np.nan
    found = loaded(saved(tmp_path / "w.npz", **arrays), saved(tmp_path / "d.npz", x=X))
    assert found.findings == ("decoder.Wh holds 1 NaN or infinite of 64 values",)
    assert rnngraph.record(found.loss).graph.first_nonfinite_forward >= 0


@pytest.mark.parametrize("name", ["embed.weight", "out.weight", "out.bias"])
def test_nan_outside_of_the_recurrent_layer_is_a_finding_too(tmp_path: Path, name: str) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "embed.weight": random.normal(size=(7, 3)), "out.weight": random.normal(size=(5, 4)),
        "out.bias": np.zeros(5), "rnn.weight_ih_l0": random.normal(size=(4, 3)),
        "rnn.weight_hh_l0": random.normal(size=(4, 4)),
    }  # fmt: skip
    arrays[name].flat[2] = np.nan
    path = saved(tmp_path / "w.npz", **arrays)
    data = saved(tmp_path / "d.npz", tokens=np.zeros((2, 5), int), targets=np.zeros((2, 5), int))
    (finding,) = loaded(path, data).findings
    assert finding.startswith(f"{name.replace('.bias', '.weight (bias)')} holds 1 NaN or infinite of ")


def test_the_finding_of_a_trace_names_the_tensor(tmp_path: Path) -> None:
    weight = np.full((4, 4), 0.1)
    weight[1, 2] = np.nan
    path = saved(tmp_path / "w.npz", **{"rnn.weight_ih_l0": np.ones((4, 3)), "rnn.weight_hh_l0": weight})
    loss = loaded(path, saved(tmp_path / "d.npz", x=np.ones((2, 5, 3)))).loss
    finding = rnngraph.diagnose(rnngraph.record(loss, lags=True)).findings[0]
    assert finding.rule == "non_finite"
    assert "parameter rnn.Wh" in finding.text
    assert finding.where["name"] == "rnn.Wh"


def test_half_of_a_layer_is_one_sentence(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.npz", **{"rnn.weight_hh_l0": np.ones((4, 4))})
    with pytest.raises(InputError, match="rnn has no weight_ih; found weight_hh"):
        loaded(path, saved(tmp_path / "d.npz", x=np.ones((2, 5, 3))))
