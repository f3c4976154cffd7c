"""Scripts that train for ever where they are imported: a loop without an end at the top of a module is left out.

In: a Python file. Out: its module, and which lines were not run. min-char-rnn and its many children are such scripts.
"""

from __future__ import annotations

import ast
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

LEFT_OUT = "__rnngraph_left_out__"


class WithoutEnd(SourceFileLoader):
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
        setattr(module, LEFT_OUT, tuple([one.lineno for one in endless]))
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
    lines = getattr(module, LEFT_OUT, ())
    where = ", ".join(str(line) for line in lines)
    name = Path(str(getattr(module, "__file__", ""))).name
    s, was = ("s", "were") if len(lines) > 1 else ("", "was")
    return (f"the loop{s} without an end at line{s} {where} of {name} {was} not run",) if lines else ()
