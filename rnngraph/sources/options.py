"""What a command line says of a model of the user's own, a checkpoint or a Python function."""

from __future__ import annotations

from dataclasses import dataclass

from rnngraph.errors import InputError


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What is said of a model of the user's own: None is an option that was not given."""

    weights: str | None = None
    data: str | None = None
    cell: str | None = None  # of a checkpoint: relu, where a plain recurrence is one; None: what shapes say, else tanh
    layer: str | None = None  # NAME,NAME for a stack; embedding=NAME, output=NAME; gates=, joined=, ..
    loss: str | None = None  # what is differentiated; None: the targets' loss where there is one
    text: str | None = None
    vocabulary: str | None = None
    set: tuple[str, ...] = ()  # arguments of a Python function

    def refuse(self, reason: str, *, but: tuple[str, ...] = ()) -> None:
        """Hold back options that mean nothing for a source.

        Raises:
            InputError: one of them was given.
        """
        for name in self.__slots__:
            if getattr(self, name) not in (None, ()) and f"--{name}" not in but:
                raise InputError(f"--{name} means nothing here, because {reason}: leave it out.")
