"""Identities that hand out what comes back to them: the gradient of a value, while nothing of the run is changed.

In: a value and a slot, which is a number or array that is not read. Out: the value itself. The gradient of the slot is
then the gradient of the value, or its norms. An addition of zeros would do as well, and would not be exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Hand = Callable[[Any], Any]


def _tap(value: Any, slot: Any, hand: Hand) -> Any:
    """Give the value; what comes back to it goes on unchanged, and through `hand` to the slot."""
    return value


def _tap_forward(value: Any, slot: Any, hand: Hand) -> tuple[Any, None]:
    return value, None


def _tap_back(hand: Hand, _: None, arrived: Any) -> tuple[Any, Any]:
    return arrived, hand(arrived)


tap: Any = jax.custom_vjp(_tap, nondiff_argnums=(2,))
tap.defvjp(_tap_forward, _tap_back)


def _tap_to_size_one(value: Any, slot: Any) -> Any:
    """Give the value; what comes back goes on at size one, so that it never gets small; the slot hears whether any."""
    return value


def _size_one_back(_: None, arrived: Any) -> tuple[Any, Any]:
    largest = jnp.max(jnp.abs(arrived), initial=0)
    scale = _scale(largest)
    return (arrived / scale).astype(arrived.dtype), (largest > 0).astype(jnp.float32)


tap_to_size_one: Any = jax.custom_vjp(_tap_to_size_one)
tap_to_size_one.defvjp(lambda value, slot: (value, None), _size_one_back)


def as_it_is(arrived: Any) -> Any:
    """Hand on the whole gradient."""
    return arrived


def whole_norm(arrived: Any) -> Any:
    """Hand on the norm over everything, with a scale, so that no square underflows."""
    return _norm(arrived.reshape(1, -1))[0]


def norms_along(axis: int | None) -> Hand:
    """Make what hands on the norm of every sample, (N,); of one, where there is no axis of samples."""

    def hand(arrived: Any) -> Any:
        if axis is None:
            return _norm(arrived.reshape(1, -1))
        return _norm(jnp.moveaxis(arrived, axis, 0).reshape(arrived.shape[axis], -1))

    return hand


def _norm(rows: Any) -> Any:
    sizes = jnp.abs(rows)
    sizes = sizes if sizes.dtype == jnp.float64 else sizes.astype(jnp.float32)
    largest = jnp.max(sizes, axis=1, initial=0)
    scale = _scale(largest)
    return jnp.sqrt(jnp.sum(jnp.square(sizes / scale[:, None]), axis=1)) * scale


def _scale(largest: Any) -> Any:
    """Give what numbers are divided by; its reciprocal, which XLA may multiply with, is in range too."""
    about = jnp.finfo(largest.dtype)
    inside = jnp.clip(largest, 8 * about.tiny, about.max / 8)
    return jnp.where((largest > 0) & jnp.isfinite(largest), inside, 1).astype(largest.dtype)
