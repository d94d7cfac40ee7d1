"""Numbers of a label image, against numpy.unique."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histoseed.datasets.numbering import compact_labels, label_ids

_numbers = st.sampled_from([0, 1, 2, 7, 30, 5_000, 2_000_000_000])


@given(
    hnp.arrays(
        st.sampled_from([np.uint32, np.int32, np.int64]),
        st.tuples(st.integers(0, 6), st.integers(0, 6)),
        elements=_numbers,
    )
)
def test_the_same_as_unique(labels: np.ndarray):
    expected = np.unique(labels[labels > 0])
    ids, compact = compact_labels(labels)
    np.testing.assert_array_equal(label_ids(labels), expected)
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(np.concatenate([[0], expected])[compact], labels)
