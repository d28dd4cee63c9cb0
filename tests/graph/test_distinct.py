"""Distinct rows against np.unique over rows, also of numbers too large for one 64-bit number a row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sxq.graph.distinct import distinct


@given(
    st.sampled_from([1, 4, 2**31, 2**45]).flatmap(
        lambda most: arrays.arrays(
            np.int64,
            st.tuples(st.integers(0, 20), st.integers(1, 3)),
            elements=st.integers(0, most),
        )
    )
)
def test_rows_are_those_of_numpy(rows):
    _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    found = distinct(rows.T)
    assert np.array_equal(found[0], first) and np.array_equal(found[1], which.reshape(-1))
