"""Every coding of candidates' bits says what every other says."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import array_shapes, arrays

from sxq.graph import bits as coding

ROWS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=140))
NUMBERS = np.random.default_rng(0).integers(2**64, size=140, dtype=np.uint64)


CODINGS = {
    "packed": (coding.pack, lambda code, n, units: coding.unpack(code, units)),
    "keys": (
        lambda bits: coding.row_keys(coding.pack(bits)),
        lambda code, n, units: coding.unpack(coding.from_keys(code, units), units),
    ),
    "words": (coding.pack_words, lambda code, n, units: coding.unpack_words(code, units)),
    "columns": (coding.pack_columns, lambda code, n, units: coding.unpack_columns(code, n)),
}


@given(ROWS)
def test_any_coding_converts_to_any_other_and_back(bits):
    for encode, decode in CODINGS.values():
        decoded = decode(encode(bits), *bits.shape)
        assert decoded.dtype == bool and np.array_equal(decoded, bits)
        for other_encode, other_decode in CODINGS.values():
            there = other_encode(decoded)
            assert np.array_equal(encode(other_decode(there, *bits.shape)), encode(bits))


@given(ROWS)
def test_a_coding_has_the_bits_where_it_is_said_to_have_them(bits):
    n, units = bits.shape
    packed = coding.pack(bits)
    words = coding.pack_words(bits)
    columns = coding.pack_columns(bits)
    assert packed.shape == (n, -(-units // 8)) and packed.dtype == np.uint8
    assert words.shape == (n, -(-units // 64)) and words.dtype == np.uint64
    assert columns.shape == (units, -(-n // 64)) and columns.dtype == np.uint64
    for unit in {0, units // 2, units - 1}:
        at = np.uint8(128 >> unit % 8)
        assert np.array_equal((packed[:, unit // 8] & at) != 0, bits[:, unit])
        at = np.uint64(1 << unit % 64)
        assert np.array_equal((words[:, unit // 64] & at) != 0, bits[:, unit])
    assert coding.row_keys(packed) == [row.tobytes() for row in packed]
    assert np.array_equal(np.bitwise_count(columns).sum(axis=1), bits.sum(axis=0))


@given(ROWS)
def test_sizes_are_counts_of_units_in_either_coding(bits):
    assert np.array_equal(coding.sizes(coding.pack(bits)), bits.sum(axis=1))
    assert np.array_equal(coding.sizes(coding.pack_words(bits)), bits.sum(axis=1))


@given(ROWS, some.randoms(use_true_random=False))
def test_differences_are_counted_and_named(bits, random):
    others = bits[[random.randrange(len(bits)) for _ in bits]]
    words = coding.pack_words(bits)
    other_words = coding.pack_words(others)
    assert np.array_equal(coding.distance(words, other_words), (bits != others).sum(axis=1))
    for found, expected in zip(coding.differing(words, other_words), (bits != others).nonzero()):
        assert np.array_equal(found, expected)


@given(ROWS)
def test_rows_that_are_equal_are_found_once(bits):
    first = coding.first_of_each(bits)
    rows = [tuple(row) for row in bits.tolist()]
    assert sorted(first.tolist()) == sorted({row: rows.index(row) for row in rows}.values())


@pytest.mark.parametrize("tabled", [True, False])
@given(bits=ROWS)
def test_a_hash_follows_the_units_that_come_and_go(bits, tabled):
    numbers = NUMBERS[: bits.shape[1]]
    with mock.patch.object(coding, "TABLED", coding.TABLED if tabled else 0):
        hashed = coding.Hashes(numbers)
    found = hashed.of(bits)
    expected = [sum(numbers[row].tolist()) % 2**64 for row in bits]
    assert found.dtype == np.uint64 and found.tolist() == expected
    unit = bits.shape[1] // 2
    toggled = bits.copy()
    toggled[:, unit] ^= True
    added = numbers[unit : unit + 1]
    step = np.where(toggled[:, unit], added, -added)
    assert np.array_equal(hashed.of(toggled), found + step)


def test_hashes_of_many_rows_are_those_of_the_parts(monkeypatch):
    bits = np.random.default_rng(0).random((9, 140)) < 0.5
    hashed = coding.Hashes(NUMBERS[:140])
    whole = hashed.of(bits)
    monkeypatch.setattr(coding, "CELLS", 300)
    assert np.array_equal(hashed.of(bits), whole)
    assert hashed.of(bits[:0]).shape == (0,)
