"""The reference pages are what the code says now."""

import pytest
from docs.reference.generate import HERE, pages

from tests.house.tree import named

PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    committed = (HERE / name).read_text(encoding="utf-8") if (HERE / name).exists() else ""
    assert committed == PAGES[name], f"{named(HERE / name)} is old: run `make docs`"
