"""The arrays that planning speaks in, and how exactly it adds them."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
Codes: TypeAlias = NDArray[np.int8]

ROUNDING = 1e-9
"""So small a share of a sum is nothing: sums of floats end on either side of what they should be."""
