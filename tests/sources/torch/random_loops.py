"""Training loops drawn at random, around a cell in a loop: what people do to weights and gradients on the way."""

from __future__ import annotations

import contextlib
import copy
import random
from typing import Any

import pytest

from tests.sources.torch.stepwise import D, H, Own, Stepwise, data, truth
from tests.sources.torch.truth import Trail

torch = pytest.importorskip("torch")
nn, optim = torch.nn, torch.optim

CELLS: dict[str, Any] = {"own": Own, "gru": lambda: nn.GRUCell(D, H), "tanh": lambda: nn.RNNCell(D, H)}
OPTIMIZERS = {
    "sgd": lambda some: optim.SGD(some, 0.1, momentum=0.9, foreach=True), "adam": lambda some: optim.Adam(some, 0.05),
    "adagrad": lambda some: optim.Adagrad(some, 0.05), "closure": lambda some: optim.LBFGS(some, 0.1, max_iter=2),
}  # fmt: skip
CHOICES: dict[str, tuple[str, ...]] = {
    "cell": tuple(CELLS), "optimizer": (*OPTIMIZERS, "by hand", "new data", "in the pass"),
    "form": ("", "", "weight_norm", "spectral_norm", "checkpoint"), "only": ("", "cell"),
    "walk": ("whole", "whole", "apart", "list", "seed", "inputs", "penalty"), "windows": ("one", "cut", "linked"),
    "between": ("", "evaluated", "with gradient", "loaded", "copied", "retyped"),
    "around": ("", "anomaly", "mode", "hooks", "scaler"), "zero": ("before", "after", "never"),
}  # fmt: skip


class Plain(torch.overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
    """A mode that changes nothing."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))


def stepped(weight: Any) -> None:
    weight.data.sub_(0.01 * weight.grad)


class Loop:
    """One loop; what it computed is in `seen`, and the norms that a trace of its last pass must have in `expected`."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        self.way = {name: draw.choice(some) for name, some in CHOICES.items()}
        if self.way["windows"] == "linked" or self.way["around"] == "scaler":  # weights must stay; no closure is scaled
            self.way["optimizer"] = "none" if self.way["windows"] == "linked" else "adam"
        self.model, self.seen, self.expected = Stepwise(CELLS[self.way["cell"]]()), list[Any](), list[Any]()
        linear, name = (
            (self.model.cell.linear, "weight") if self.way["cell"] == "own" else (self.model.cell, "weight_hh")
        )
        if self.way["form"].endswith("norm"):
            getattr(nn.utils.parametrizations, self.way["form"])(linear, name)
        if self.way["form"] == "checkpoint":
            self.model.step = lambda x, h: torch.utils.checkpoint.checkpoint(self.model.cell, x, h, use_reentrant=False)
        self.model.double()
        self.weights = list(self.model.parameters())
        make = OPTIMIZERS.get(self.way["optimizer"])
        self.optimizer: Any = make(self.weights) if make else None
        self.scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=1)
        if self.way["optimizer"] == "in the pass":
            for one in self.weights:
                one.register_post_accumulate_grad_hook(stepped)
        if self.way["around"] == "hooks":
            self.model.head.register_full_backward_hook(lambda module, given, taken: None)
            self.model.cell.register_forward_hook(lambda module, given, result: result * 1.0)

    def run(self) -> None:
        """Take two steps of training."""
        for step in range(2):
            self.at = step
            if self.way["zero"] == "before":
                self.model.zero_grad()
            if self.way["optimizer"] == "closure":
                self.seen.append(self.optimizer.step(self.again).clone())
            else:
                self.windows(step)
            if self.way["zero"] == "after":
                self.model.zero_grad()
        self.seen += [one.detach().clone() for one in (*self.model.parameters(), *self.model.buffers())]
        self.seen.append(torch.get_rng_state())

    def again(self) -> Any:
        """Run forward and backward for an optimizer that wants that several times."""
        self.model.zero_grad()
        return self.window(self.at, None, False)[1]

    def windows(self, step: int) -> None:
        h, trail = None, Trail()
        count = 1 if self.way["windows"] == "one" else 2
        for window in range(count):
            linked = self.way["windows"] == "linked"
            trail = trail if linked else Trail()
            h, loss = self.window(step + window, h, linked and window < count - 1, trail)
            h = h if linked else h.detach()
            self.seen += [loss, *(None if one.grad is None else one.grad.clone() for one in self.weights)]
            self.change()
            self.step()

    def window(self, at: int, h: Any, kept: bool, trail: Trail | None = None) -> tuple[Any, Any]:
        trail = trail or Trail()
        before = trail.total() if trail.losses else 0
        with self.around():
            h = self.model(data(at), trail, h)
            self.expected = [truth(trail)]
            loss = trail.total() - before
            self.walk(self.scaler.scale(loss) if self.way["around"] == "scaler" else loss, trail, kept)
        return h, loss.detach()

    def walk(self, loss: Any, trail: Trail, kept: bool) -> None:
        way = "whole" if self.way["windows"] == "linked" else self.way["walk"]
        if way == "apart" and self.way["around"] != "scaler" and self.way["optimizer"] != "in the pass":
            for one in trail.losses.values():
                one.backward(retain_graph=one is not list(trail.losses.values())[-1])
        elif way == "list" and self.way["around"] != "scaler":
            torch.autograd.backward(list(trail.losses.values()))
        elif way == "seed":
            loss.backward(torch.tensor(1.0).double())
        elif way == "inputs":
            loss.backward(inputs=self.weights)
        elif way == "penalty":
            (loss + sum(one.square().sum() for one in self.weights)).backward()
        else:
            loss.backward(retain_graph=kept)

    @contextlib.contextmanager
    def around(self) -> Any:
        with contextlib.ExitStack() as stack:
            if self.way["around"] == "anomaly":
                stack.enter_context(torch.autograd.set_detect_anomaly(True))
            if self.way["around"] == "mode":
                stack.enter_context(Plain())
            yield

    def change(self) -> None:
        """Do what stands between the pass and the step."""
        model, values = self.model, {k: v.clone() for k, v in self.model.state_dict().items()}
        match self.way["between"]:
            case "evaluated":
                with torch.no_grad():
                    self.seen.append(model(data(7), Trail()))
            case "with gradient":
                self.seen.append(model(data(7), Trail()).detach())
            case "loaded" if self.way["windows"] != "linked":
                model.load_state_dict({k: v * 0.9 for k, v in values.items()})
            case "copied" if self.way["form"] != "checkpoint":
                self.seen.append(copy.deepcopy(model.head).weight.detach())
            case "retyped":
                model.float().double()

    def step(self) -> None:
        match self.way["optimizer"]:
            case "none" | "in the pass":
                return
            case "by hand" | "new data":
                for one in (one for one in self.weights if one.grad is not None):
                    if self.way["optimizer"] == "by hand":
                        one.data.sub_(0.1 * one.grad)
                    else:
                        one.data = one.data - 0.1 * one.grad
                return
        if self.way["around"] == "scaler":
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            nn.utils.clip_grad_norm_(self.weights, 0.5)
            self.optimizer.step()
