"""Means and errors over the seeds of a recipe."""

import pytest

from textvae.analysis.seeds import averaged, by_seed, error_over_seeds

RUNS = [
    {
        "nll": 2.0,
        "samples": 5,
        "collapsed": False,
        "rows": {"recall": 0.5, "kind": "a"},
        "kls": (1,),
    },
    {
        "nll": 4.0,
        "samples": 5,
        "collapsed": True,
        "rows": {"recall": 0.7, "kind": "b"},
        "kls": (2,),
    },
]


def test_numbers_are_averaged_and_the_rest_is_the_first_s():
    means = averaged(RUNS)
    assert means["nll"] == 3.0 and means["rows"]["recall"] == pytest.approx(0.6)
    assert isinstance(means["samples"], int) and means["samples"] == 5
    assert (means["collapsed"], means["rows"]["kind"], means["kls"]) == (False, "a", (1,))


def test_by_seed_has_what_differs():
    assert by_seed(RUNS) == {"nll": [2.0, 4.0], "rows.recall": [0.5, 0.7]}


def test_a_metric_that_one_run_lacks_is_not_averaged():
    runs = [{"nll": 1.0, "answers": {"recall": 0.1}}, {"nll": 1.0, "answers": None}]
    assert averaged(runs)["answers"] == {"recall": 0.1} and by_seed(runs) == {}


def test_the_error_is_that_of_the_mean():
    assert error_over_seeds([1.0, 2.0, 3.0]) == pytest.approx(1 / 3**0.5)
