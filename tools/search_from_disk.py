"""Hold the built pages to what they promise: opened from disk, without a network, they are searched.

Run `python -m tools.search_from_disk SITE`. It ends with an error where a search finds nothing or anything is loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.render.browser import chromium

PAGES = ("index.html", "reference/commands.html")


def main(site: Path) -> None:
    """Search from a page at the top and from one below it.

    Raises:
        AssertionError: something went wrong in a page, or it asked for something that is not on the disk.
    """
    with chromium() as browser:
        for name in PAGES:
            page = browser.running.new_context(offline=True).new_page()
            wrong: list[str] = []
            page.on("pageerror", lambda error, wrong=wrong: wrong.append(str(error)))
            page.on("request", lambda one, wrong=wrong: wrong.append(one.url) if one.url[:5] != "file:" else None)
            page.goto((site / name).absolute().as_uri())
            page.click("[data-md-component=search-query]")
            for _ in range(60):  # the page listens to keys some time after it is loaded
                page.locator("[data-md-component=search-query]").fill("")
                page.keyboard.type("half-life", delay=50)
                page.wait_for_timeout(1_000)
                if page.locator(".md-search-result__item").count():
                    break
            assert page.locator(".md-search-result__item").count() > 0, f"{name}: nothing is found"
            assert wrong == []


if __name__ == "__main__":
    main(Path(sys.argv[1]))
