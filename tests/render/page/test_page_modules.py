"""The modules of the page: which order they come in, that every one is needed, and that no two give a name."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from rnngraph.render.page import html as page

WEB = Path(__file__).parents[3] / "rnngraph/render/page/web"
DECLARED = re.compile(r"^(?:async )?(?:function\*?|const|let|class) ([\w$]+)", re.MULTILINE)


def test_every_module_is_part_of_the_page() -> None:
    assert {path.relative_to(WEB).as_posix() for path in WEB.rglob("*.js")} == set(page.modules())


def test_a_module_comes_after_those_that_it_imports() -> None:
    order = page.modules()
    for place, name in enumerate(order):
        for path in re.findall(r'^import .* from "(.*)";$', page.asset(name), re.MULTILINE):
            needed = (WEB / name).parent.joinpath(path).resolve().relative_to(WEB).as_posix()
            assert order.index(needed) < place, f"{name} needs {needed}"


def test_no_two_modules_declare_a_name() -> None:
    found = Counter(name for module in page.modules() for name in DECLARED.findall(page.plain(module)))
    assert [name for name, count in found.items() if count > 1] == []


def test_nothing_is_left_of_a_module_in_the_script() -> None:
    assert not re.search(r"^(import|export) ", page.script(), re.MULTILINE)


def test_modules_that_import_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"start.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./start.js";\n'}
    monkeypatch.setattr(page, "asset", texts.__getitem__)
    page.modules.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"start\.js -> b\.js -> start\.js"):
            page.modules()
    finally:
        page.modules.cache_clear()


@pytest.mark.parametrize("path", sorted(WEB.rglob("*.js")), ids=lambda path: path.name)
def test_a_module_is_checked_and_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("// @ts-check\n// ")  # and says what it is for
    assert len(text.splitlines()) <= 250
