from __future__ import annotations

import subprocess
import sys


def test_render_stays_a_function_when_its_modules_are_loaded() -> None:
    code = "import rnngraph as rg; import rnngraph.render.save, rnngraph.render.format; assert callable(rg.render)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_loads_no_drawing_library() -> None:
    code = (
        "import sys, rnngraph; "
        "heavy = {'graphviz', 'pygraphviz', 'rich', 'typer', 'torch', 'xml', "
        "'rnngraph.graph.build', 'rnngraph.render.format'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
