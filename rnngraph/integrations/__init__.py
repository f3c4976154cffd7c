"""Callbacks for what people train with, each a few lines over `rnngraph.torch.monitor`; each needs its library."""

from typing import Any

_NAMES = ("lightning", "stable_baselines3", "transformers")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _NAMES:
        return import_module(f"rnngraph.integrations.{name}")
    raise AttributeError(f"module 'rnngraph.integrations' has no attribute {name!r}")
