"""Limits of the network's operations that an untrained network's images do not reach."""

from __future__ import annotations

import numpy as np
import pytest

from CTBMDLib.model.network import NumpyOps, scanner_features


def test_a_voltage_between_the_last_two_of_the_table():
    between = np.log((1.38 + 1.265) / 2 / 1.38)
    assert scanner_features(130.0, 1)[0] == pytest.approx([1, between])
    assert scanner_features(70.0, 1)[0] == pytest.approx([1, np.log(1.82 / 1.38)])


def test_attention_does_not_overflow():
    x = np.full((1, 2, 2), 80.0, np.float32)
    x[0, 1, 1] = 80.0 + np.log(5.0)
    assert NumpyOps.attention(x)[0] == pytest.approx(np.array([[1, 1], [1, 5]]) / 8, rel=1e-5)


def test_sigmoid_does_not_overflow():
    x = np.array([-1000.0, -61.0, -60.0, -59.5, 0.0, 1000.0], np.float32)
    with np.errstate(all="raise"):
        answer = NumpyOps.sigmoid(x)
    low = np.exp(-60.0)
    assert answer.dtype == np.float32
    assert answer == pytest.approx([low, low, low, np.exp(-59.5), 0.5, 1.0], rel=1e-4, abs=0)
