"""Which files of a month to merge, so that few remain and no row is moved often."""

from collections.abc import Sequence
from itertools import groupby

from tieline.adapters.series.files import FULL_ROWS, File

MOST_ROWS = 4 * FULL_ROWS
"""What one merge may sort."""


def mergeable(files: Sequence[File]) -> list[list[File]]:
    """For each month that needs it, the files to make one of."""
    ascending = sorted(files, key=lambda file: (file.month, file.past, file.rows))
    alike = groupby(ascending, key=lambda file: (file.month, file.past))
    return [group for _, some in alike if len(group := _unbalanced([*some])) > 1]


def _unbalanced(ascending: Sequence[File]) -> list[File]:
    """The smallest files, up to the last with fewer than twice the rows of all smaller together.

    What stays doubles at every step, so that n commits leave log n files and a row moves log n times
    (the rule of `git repack --geometric`).
    """
    cut, total = 0, 0
    small = [file for file in ascending if file.rows < FULL_ROWS]
    for i, file in enumerate(small):
        if file.rows < 2 * total:
            cut = i + 1
        total += file.rows
        if total > MOST_ROWS:
            break
    return small[:cut]
