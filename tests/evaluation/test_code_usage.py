"""The use of a codebook."""

import math

import numpy as np
import pytest

from textvae.evaluation.codes import usage_of


def test_perplexity_of_codes_that_occur_alike_is_their_number():
    found = usage_of(np.arange(40).reshape(10, 4) % 5, 8)
    assert (found.used, found.size) == (5, 8)
    assert found.perplexity == pytest.approx(5)


def test_perplexity_is_the_exponential_of_the_entropy():
    found = usage_of(np.array([3, 3, 3, 1]), 4)
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert found.used == 2 and found.perplexity == pytest.approx(math.exp(entropy))
