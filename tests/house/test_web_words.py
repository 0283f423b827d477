"""What the page's source repeats of the platform's words is what the platform says."""

import re

from tests.house.tree import ROOT
from tieline.base.series import Flag

API = (ROOT / "web/src/api.ts").read_text(encoding="utf-8")


def test_the_page_names_every_flag_of_a_reading_by_its_bit() -> None:
    (listed,) = re.findall(r"export const FLAGS = \[(.*?)\]", API, re.DOTALL)
    named = re.findall(r'"([^"]+)"', listed)
    flags = list(Flag)
    assert [flag.value for flag in flags] == [1 << bit for bit in range(len(named))]
    assert all(
        name.replace(" ", "_").upper().startswith(flag.name or "?") for name, flag in zip(named, flags, strict=True)
    )
