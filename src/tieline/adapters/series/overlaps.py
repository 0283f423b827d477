"""In which spans an instant may have more than one version: outside of them, rows need no comparing."""

from collections.abc import Sequence
from itertools import pairwise

from tieline.adapters.series.files import File

Window = tuple[int, int]
"""A span of `at` in microseconds since 1970, its end included."""

WINDOWS = 4
NEVER: Window = (1, 0)


def doubtful(files: Sequence[File], held: Window | None) -> list[Window]:
    """At most a few windows that hold whatever two of the files, or the tail, may both have rows of."""
    spans = [(file.first_at, file.last_at) for file in files if not file.single]
    ordered = sorted((file for file in files if file.single), key=lambda file: file.first_at)
    for number, one in enumerate(ordered):
        for other in ordered[number + 1 :]:
            if other.first_at > one.last_at:
                break
            if one.first_id <= other.last_id and other.first_id <= one.last_id:
                spans.append((other.first_at, min(one.last_at, other.last_at)))
    return _few(_joined(spans + ([held] if held else [])))


def within(files: Sequence[File], windows: Sequence[Window]) -> list[File]:
    return [file for file in files if any(file.first_at <= end and file.last_at >= start for start, end in windows)]


def _joined(spans: Sequence[Window]) -> list[Window]:
    joined: list[Window] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _few(windows: list[Window]) -> list[Window]:
    """Those nearest to each other made one, until few are left."""
    while len(windows) > WINDOWS:
        gaps = [after[0] - before[1] for before, after in pairwise(windows)]
        at = gaps.index(min(gaps))
        windows = [*windows[:at], (windows[at][0], windows[at + 1][1]), *windows[at + 2 :]]
    return windows
