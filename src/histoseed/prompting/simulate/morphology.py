"""A mask that is too large all round: the object, dilated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from histoseed.prompting.simulate.truth import distance_to

__all__ = ["dilated"]


def dilated(mask: npt.NDArray[np.bool_], radius: float) -> npt.NDArray[np.bool_]:
    """All pixels whose centre is at most ``radius`` pixels from a centre in the mask; symmetric, unlike even kernels.

    >>> dilated(np.array([[True, False, False]]), 1).tolist()
    [[True, True, False]]
    """
    return distance_to(mask) <= radius
