"""Import a user's function, and tell the user's frames from everybody else's when it fails.

In: `file.py:function` or `module:function`. Out: the function, or an error with the frames that the user wrote.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import rnngraph
from rnngraph.errors import FileError, InputError, MissingToolError, said

_LEFT_OUT = "__rnngraph_left_out__"
_EXTRAS = {"torch": "PyTorch", "jax": "JAX"}


class TargetError(InputError):
    """An exception left the user's code; `frames` is the traceback of the user's own frames, as text."""

    def __init__(self, message: str, frames: str = "") -> None:
        """Keep the sentence and the frames apart."""
        super().__init__(message)
        self.frames = frames


def find_function(source: str) -> Callable[..., Any]:
    """Import the file or module and look the function up.

    Raises:
        FileError: there is no such file.
        InputError: no such module, no such name in it, or something that cannot be called.
        TargetError: importing it failed.
    """
    place, _, name = source.rpartition(":")
    if not place or not name:
        raise InputError(f"{source} names no function; write file.py:function or module:function.")
    with shielded(source):
        module = _file_module(Path(place)) if place.endswith(".py") else _named_module(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            listed = ", ".join(key for key, value in vars(module).items() if _is_own_function(value, module))
            raise InputError(f"{place} has no {name!r}; it defines {listed or 'no functions'}.")
        found = getattr(found, part)
    if not callable(found):
        raise InputError(f"{source} is a value of type {type(found).__name__} and cannot be called; name a function.")
    function: Callable[..., Any] = found
    return function


def _is_own_function(value: Any, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _file_module(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileError(f"there is no file {path}.")
    path = path.resolve()
    known = sys.modules.get(path.stem)
    # A file that is called as an imported module (torch.py) must not take its place.
    name = path.stem if known is None or getattr(known, "__file__", None) == str(path) else f"target_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_WithoutEnd(name, str(path)))
    if spec is None or spec.loader is None:
        raise InputError(f"{path} cannot be imported as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _named_module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise InputError(
                f"there is no module {error.name!r} (for {name}); for a file, write {name.split('.')[-1]}.py:function."
            ) from None
        raise


@contextlib.contextmanager
def shielded(source: str) -> Iterator[None]:
    """Turn an exception of the user's code into a `TargetError`; our own pass, with `frames` set on them.

    Raises:
        TargetError: the user's code raised.
        MissingToolError: it needs PyTorch or JAX, which is not installed.
    """
    try:
        yield
    except (TargetError, KeyboardInterrupt):
        raise
    except BaseException as error:  # also SystemExit, and what derives from BaseException to get past a guard
        frames = user_frames(error)
        if isinstance(error, rnngraph.RnnGraphError):
            error.frames = frames  # type: ignore[attr-defined]
            raise
        if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
            raise MissingToolError(
                f"{source} needs {_EXTRAS[error.name]}, which is not installed; pip install 'rnngraph[{error.name}]' "
                "brings it."
            ) from None
        kind, text = type(error).__name__, said(error)
        if isinstance(error, SyntaxError) and error.lineno is not None:
            text = f"{error.msg} ({error.filename}, line {error.lineno})"
        what = kind if text == kind else f"{kind}: {text.removesuffix('.')}"
        raise TargetError(f"{source} raised {what}.", frames) from None


def user_frames(error: BaseException) -> str:
    """Format the traceback without the frames of this package, of Python and of installed packages."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    if not own:
        return ""
    return "Traceback (most recent call last; your own code only):\n" + "".join(traceback.format_list(own))


def innermost_frame(error: BaseException) -> tuple[str, int, bool]:
    """Find where an exception was raised: file, line, and whether that is a user's code.

    Python's own frames and those of installed packages say nothing; the innermost that called them counts.
    """
    package = Path(rnngraph.__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(package):
            return str(Path(frame.filename).relative_to(package.parent)), frame.lineno or 0, False
        if _is_users(frame.filename):
            return frame.filename, frame.lineno or 0, True
    return "no file", 0, False


def _is_users(filename: str) -> bool:
    foreign = [
        Path(rnngraph.__file__).parent,
        *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
    ]
    return not filename.startswith("<") and not any(Path(filename).is_relative_to(one) for one in foreign)


# ---- scripts that train for ever where they are imported, as min-char-rnn does: a loop without an end is left out
class _WithoutEnd(SourceFileLoader):
    """Run a module without its endless loops; one that has none is run, and cached, as Python does it."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        data = Path(self.path).read_bytes()
        try:
            tree = ast.parse(data, self.path)
        except (SyntaxError, ValueError):
            tree = ast.Module([], [])  # Python says what is wrong with it
        endless = [one for one in tree.body if isinstance(one, ast.While) and _never_ends(one)]
        if not endless:
            super().exec_module(module)
            return
        tree.body = [one for one in tree.body if one not in endless]
        setattr(module, _LEFT_OUT, tuple([one.lineno for one in endless]))
        exec(compile(tree, self.path, "exec", dont_inherit=True), vars(module))


def _never_ends(loop: ast.While) -> bool:
    """Tell `while True` that no `break` of its own ends but for who interrupts it; what raises is not run either."""
    if not isinstance(loop.test, ast.Constant) or not loop.test.value:
        return False
    todo: list[ast.AST] = [*loop.body]
    while todo:
        one = todo.pop()
        if isinstance(one, ast.Break):
            return False
        if isinstance(one, ast.ExceptHandler) and isinstance(one.type, ast.Name) and one.type.id == "KeyboardInterrupt":
            continue
        if not isinstance(one, ast.While | ast.For | ast.FunctionDef | ast.ClassDef):
            todo += ast.iter_child_nodes(one)
        elif isinstance(one, ast.While | ast.For):
            todo += one.orelse
    return True


def left_out(module: ModuleType | None) -> tuple[str, ...]:
    """Say what of a module was not run."""
    lines = getattr(module, _LEFT_OUT, ())
    where = ", ".join(str(line) for line in lines)
    name = Path(str(getattr(module, "__file__", ""))).name
    s, was = ("s", "were") if len(lines) > 1 else ("", "was")
    return (f"the loop{s} without an end at line{s} {where} of {name} {was} not run",) if lines else ()
