"""A line of text that shows the shape of a line of values: ▁▂▅█▅▂▁, blank where nothing is known."""

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(at: Sequence[float], value: Sequence[float | None], start: float, end: float, width: int) -> str:
    """One character a column of time, as high as its greatest value: a spike is seen. Blank where there is none."""
    highest: list[float | None] = [None] * width
    for when, what in zip(at, value, strict=True):
        column = min(width - 1, max(0, int((when - start) / (end - start) * width)))
        known = highest[column]
        if what is not None and (known is None or what > known):
            highest[column] = what
    least, most = bounds([one for one in highest if one is not None])
    return "".join(" " if one is None else _block(one, least, most) for one in highest)


def bounds(values: Sequence[float]) -> tuple[float, float]:
    return (min(values), max(values)) if values else (0.0, 0.0)


def _block(value: float, least: float, most: float) -> str:
    share = (value - least) / (most - least) if most > least else 0.0
    return BLOCKS[min(len(BLOCKS) - 1, int(share * len(BLOCKS)))]
