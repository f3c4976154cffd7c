"""Trace every n-th step of a training loop into a folder that stays small.

In: a watch. Out: one saved trace a traced step, `step_00000200.npz`; the oldest are removed once there are too many.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rnngraph.checks import whole_number
from rnngraph.errors import FileError, InputError
from rnngraph.sources.torch.rank import process_rank

if TYPE_CHECKING:
    from rnngraph.sources.torch.watch import Watch

RANKS = ("first", "all")
_MEGABYTE = 1_000_000


class Every:
    """Use it in a `with` statement around the forward and backward of every training step.

    A step that cannot be traced is a warning and not an error, so that a long training never ends because it
    was watched.
    """

    def __init__(
        self,
        watch: Watch,
        steps: int,
        folder: str | Path,
        *,
        keep: int = 50,
        megabytes: float = 200.0,
        ranks: str = "first",
        **choices: Any,
    ) -> None:
        """Prepare the folder.

        Args:
            watch: what is to be watched.
            steps: trace the first step and every so many steps after it.
            folder: where the traces go; made where it does not exist.
            keep: the largest number of traces of this run to keep; the oldest are removed.
            megabytes: the largest size of all of them together.
            ranks: of a distributed run, `first` traces rank 0 and `all` every rank, each to its own files.
            choices: those of `Watch.trace`.

        Raises:
            InputError: a bound below 1, an unknown choice of ranks, or a choice that `Watch.trace` does not take.
            FileError: the folder cannot be made.
        """
        for label, number in (("every", steps), ("keep", keep)):
            whole_number(number, label, least=1)
        if isinstance(megabytes, bool) or not isinstance(megabytes, int | float) or not 0 < megabytes < float("inf"):
            raise InputError(f"megabytes is {megabytes!r}; it must be a number above 0.")
        if not isinstance(folder, str | Path):
            raise InputError(f"folder is {folder!r}; pass the path of a folder.")
        folder = Path(folder)
        if ranks not in RANKS:
            raise InputError(f"ranks is {ranks!r}; choose one of {', '.join(RANKS)}.")
        unknown = set(choices) - {"backward", "lags", "spectrum", "labels", "source"}
        if unknown:
            raise InputError(f"every() does not take {', '.join(sorted(unknown))}; its choices are those of trace().")
        self.step = -1  # the step under way, or the last one
        self.files: list[Path] = []  # what this run wrote and has not removed, oldest first
        self._watch, self._steps, self._folder, self._choices = watch, steps, folder, choices
        self._keep, self._bytes, self._ranks = keep, int(megabytes * _MEGABYTE), ranks
        self._watching = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"the folder {folder} cannot be made: {error.strerror or error}.") from None
        older = sum(path.stem.endswith(self._ending()) for path in folder.glob("step_*.npz"))
        if older:
            warnings.warn(
                f"{folder} holds {older} traces of an earlier run already: files of the same step are replaced and "
                "the others stay; choose another folder to keep the runs apart",
                RuntimeWarning,
                stacklevel=3,
            )

    def __enter__(self) -> Every:
        """Count a step, and watch it where it is its turn."""
        self.step += 1
        self._watching = self.step % self._steps == 0 and (self._ranks == "all" or process_rank() in (None, 0))
        if self._watching:
            self._watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the hooks off and save the trace of the step."""
        if not self._watching:
            return
        self._watching = False
        self._watch.__exit__(kind, error, traceback)
        if kind is None:
            self._save()

    def _ending(self) -> str:
        rank = process_rank()
        return f"_rank{rank}" if self._ranks == "all" and rank is not None else ""

    def _save(self) -> None:
        path = self._folder / f"step_{self.step:08d}{self._ending()}.npz"
        try:
            self._watch.trace(**self._choices).save(path)
        except Exception as error:  # a long training never ends because it is watched
            warnings.warn(f"step {self.step} was not traced: {error}", RuntimeWarning, stacklevel=3)
            return
        self.files = [*(one for one in self.files if one != path), path]
        while len(self.files) > self._keep or sum(_size(one) for one in self.files) > self._bytes:
            oldest = self.files.pop(0)
            oldest.unlink(missing_ok=True)
            if oldest == path:
                warnings.warn(
                    f"the trace of step {self.step} alone is larger than megabytes allows, and was removed",
                    RuntimeWarning,
                    stacklevel=3,
                )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
