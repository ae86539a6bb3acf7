"""Which ids a lane may have loaded before, remembered in a fixed amount of memory.

Belongs here: a Bloom filter. Does not: deciding what a duplicate is (Postgres does). Invariant: an
id that was added is always reported; one that was not, seldom (1 % after 5 million, more beyond).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BITS: Final = 26  # 8 MiB
_SHIFTS: Final = (1, 20, 38)  # three bits per id; bit 0 of a hash chooses the lane


class SeenIds:
    """A set of 64-bit hashes that may take a few strangers for members."""

    def __init__(self) -> None:
        import numpy as np

        self._bits = np.zeros(1 << (_BITS - 3), dtype=np.uint8)

    def add(self, hashes: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Add hashes; which of them were there, or come more than once among themselves."""
        import numpy as np

        if not len(hashes):
            return np.zeros(0, dtype=np.bool_)
        _, group, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
        repeated = sizes[group] > 1
        places = [(hashes >> np.uint64(shift)) & np.uint64((1 << _BITS) - 1) for shift in _SHIFTS]
        known = np.ones(len(hashes), dtype=np.bool_)
        for place in places:
            bit = np.left_shift(np.uint8(1), (place & np.uint64(7)).astype(np.uint8))
            byte = (place >> np.uint64(3)).astype(np.int64)
            known &= (self._bits[byte] & bit) > 0
        for place in places:
            bit = np.left_shift(np.uint8(1), (place & np.uint64(7)).astype(np.uint8))
            np.bitwise_or.at(self._bits, (place >> np.uint64(3)).astype(np.int64), bit)
        result: npt.NDArray[np.bool_] = known | repeated
        return result
