"""Mutations of what `torch.save` writes: the tree that is saved, its pickle, and the archive around it."""

from __future__ import annotations

import io
import itertools
import pickle
import pickletools
import warnings
from collections import OrderedDict
from random import Random
from typing import Any

import torch

from tests.fuzz.arrays import Trap, mutate_zip, pickled
from tests.fuzz.good import Captioner
from tests.fuzz.values import NUMBERS, mutate_bytes, text


class Reduced:
    """An object whose pickle calls a function that PyTorch allows, with arguments of our own."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.parts = function, arguments

    def __reduce__(self) -> Any:
        return self.parts


def mutate_torch(random: Random, data: bytes) -> bytes:
    """Change a file of PyTorch's."""
    kind = random.randrange(3)
    if kind == 0:
        return saved(random, tree(random))
    if data[:2] == b"PK" and kind == 1:
        return mutate_zip(random, data, _member)
    return mutate_bytes(random, data)


def saved(random: Random, value: Any) -> bytes:
    """Save a value in the new form, or the old."""
    out = io.BytesIO()
    try:
        torch.save(value, out, _use_new_zipfile_serialization=random.random() < 0.8)
    except Exception:  # what PyTorch cannot save, a plain pickle can
        return pickle.dumps({"a": 1})
    return out.getvalue()


def tree(random: Random) -> Any:
    """Make a state dict with something strange in it."""
    state: Any = Captioner(random.choice(["RNN", "LSTM", "GRU"])).state_dict()
    key = random.choice(list(state))
    kind = random.randrange(9)
    if kind == 0:
        state[key] = _tensor(random, state[key])
    elif kind == 1:
        state = OrderedDict((text(random)[:500] if name == key else name, one) for name, one in state.items())
    elif kind == 2:
        del state[key]
    elif kind == 3:
        state[key] = random.choice([*NUMBERS, text(random), None, [state[key]], {"a": state[key]}, Trap()])
    elif kind == 4:
        state = dict(state)
        state["self"] = state
    elif kind == 5:
        for _ in range(random.choice([3, 40, 300])):
            state = {"a": state, "b": state}
    elif kind == 6:
        state[key] = Reduced(*random.choice([
            (bytearray, 6 * 10**9), (torch.Tensor, 10**9), (torch.FloatTensor, 40_000, 40_000), (torch.Size, (10**12,)),
            (torch._utils._rebuild_meta_tensor_no_storage, torch.float32, (10**9,), (1,), False),
        ]))  # fmt: skip
    elif kind == 7:
        state = {("optimizer" if random.random() < 0.3 else text(random)[:99]): state, 3: state, None: 1}
    else:
        first, second = random.sample(list(state), 2)
        state[first], state[second] = state[second], state[first]
    return state


def _tensor(random: Random, tensor: torch.Tensor) -> Any:
    choices = (
        lambda: tensor.to(random.choice([torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool])),
        lambda: tensor.to(torch.complex64),
        lambda: tensor.to_sparse(),
        lambda: tensor.to("meta"),
        lambda: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
        lambda: tensor.reshape(-1)[:1].expand(10**9),
        lambda: torch.zeros(1).expand(40_000, 40_000),
        lambda: tensor * float(random.choice(["nan", "inf", "1e38", "0"])),
        lambda: tensor[..., :-1],
        lambda: torch.cat([tensor, tensor]),
        lambda: tensor.reshape(-1),
        lambda: tensor[None],
        lambda: tensor[:0],
        lambda: torch.nn.Parameter(tensor),
        lambda: torch.tensor(1.0),
    )
    with warnings.catch_warnings():  # of kinds that PyTorch will give up
        warnings.simplefilter("ignore")
        return random.choice(choices)()


def _member(random: Random, name: str, data: bytes) -> bytes:
    if not name.endswith("data.pkl"):
        return random.choice([mutate_bytes(random, data), b"", data * 2, text(random).encode("utf-8", "replace")])
    if random.random() < 0.2:
        return pickled(random)
    if random.random() < 0.1:
        return b"\x80\x02" + random.choice([b"}" * 10**6, b"]" * 3 * 10**6, b"(" * 10**5, b"K\x01" * 10**6]) + b"."
    places = [place for _, _, place in pickletools.genops(data)] + [len(data)]
    pieces = [data[one:other] for one, other in itertools.pairwise(places)]
    here = random.randrange(len(pieces) - 1)
    there = random.randrange(len(pieces) - 1)
    kind = random.randrange(5)
    if kind == 0:
        del pieces[here]
    elif kind == 1:
        pieces.insert(here, pieces[there])
    elif kind == 2:
        pieces[here], pieces[there] = pieces[there], pieces[here]
    elif kind == 3:
        pieces[here] = random.choice([b"K\xff", b"J\xff\xff\xff\x7f", b"M\xff\xff", b"N", b"}", b"]", b")",
                                      b"\x88", b"cos\nsystem\n", b"c__builtin__\neval\n", b"cbuiltins\nbytearray\n",
                                      b"R", b"b"])  # fmt: skip
    else:
        pieces[here] = mutate_bytes(random, pieces[here])
    return b"".join(pieces)
