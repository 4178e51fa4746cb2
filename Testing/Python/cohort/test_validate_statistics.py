"""The figures of a validation against other programs, by hand, and where there are none to tell."""

import numpy as np
import pytest
from scipy import stats

from CTBMDLib.cohort import validate_statistics as v


def people(count=60, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    dxa = rng.normal(1.0, 0.15, count)
    value = 0.8 * dxa + 0.25 + rng.normal(0, 0.06, count)
    return dxa, np.round(value, 1) if ties else value


@pytest.mark.parametrize("ties", [False, True])
def test_figures_are_those_of_other_programs(ties):
    dxa, value = people(ties=ties)
    got = {name: x.value for name, x in v.agreement(dxa, value, np.arange(60), draws=50).items()}
    error = value - dxa
    line = stats.linregress(value, dxa)
    want = {
        "r": stats.pearsonr(value, dxa)[0],
        "rho": stats.spearmanr(value, dxa)[0],
        "bias": error.mean(),
        "sd": error.std(ddof=1),
        "rmse": np.sqrt((error**2).mean()),
        "loa_low": error.mean() - 1.96 * error.std(ddof=1),
        "loa_high": error.mean() + 1.96 * error.std(ddof=1),
        "slope": line.slope,
        "intercept": line.intercept,
        # Lin 1989, as it is written there.
        "ccc": 2 * np.cov(value, dxa, ddof=0)[0, 1]
        / (value.var() + dxa.var() + (value.mean() - dxa.mean()) ** 2),
    }  # fmt: skip
    assert got == pytest.approx(want)


@pytest.mark.parametrize("ties", [False, True])
def test_the_auc_counts_pairs_of_persons(ties):
    dxa, value = people(ties=ties)
    low = dxa < 0.9
    by_hand = np.mean([(a < b) + 0.5 * (a == b) for a in value[low] for b in value[~low]])
    assert v.discrimination(low, value, np.arange(60), draws=50).value == pytest.approx(by_hand)
    x, y = v.roc_points(low, value)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(by_hand)  # the curve is of the same figure


def test_a_draw_is_what_its_persons_give():
    """Weights are another way to write a sample down: each figure is that of the drawn sample."""
    dxa, value = people(30, ties=True)
    persons = np.arange(30) // 2
    weights = v.draw_weights(persons, 5)
    assert (weights[0] == 1).all() and (weights[:, ::2] == weights[:, 1::2]).all()
    assert (weights.sum(axis=1) == 30).all()
    for w in weights[1:]:
        taken = np.repeat(np.arange(30), w.astype(int))
        one = v.agreement(dxa[taken], value[taken], np.arange(len(taken)), draws=1)
        by_weight = {
            "r": v._pearson(w[None], value, dxa),
            "rho": v._pearson(w[None], v._ranks(w[None], value), v._ranks(w[None], dxa)),
            "sd": v._sd(w[None], value - dxa),
            "slope": v._line(w[None], value, dxa)[0],
        }
        for name, got in by_weight.items():
            assert got[0] == pytest.approx(one[name].value), name


def test_several_ct_of_a_person_are_no_more_persons():
    """The same persons scanned four times: the interval must not be narrower than with one scan."""
    dxa, value = people(40)
    once = v.agreement(dxa, value, np.arange(40))
    four = v.agreement(np.tile(dxa, 4), np.tile(value, 4), np.tile(np.arange(40), 4))
    naive = v.agreement(np.tile(dxa, 4), np.tile(value, 4), np.arange(160))
    for name in ("r", "bias", "rmse"):
        width = {k: x[name].high - x[name].low for k, x in (("1", once), ("4", four), ("n", naive))}
        assert width["4"] == pytest.approx(width["1"], rel=0.05), name
        assert width["n"] < 0.65 * width["1"], name


def test_intervals_cover_what_they_say():
    """The bias of 200 samples of 40 persons lies in nine tenths and more of their intervals."""
    rng = np.random.default_rng(3)
    held = []
    for _ in range(200):
        error = rng.normal(0.03, 0.06, 40)
        dxa = rng.normal(1, 0.15, 40)
        bias = v.agreement(dxa, dxa + error, np.arange(40), draws=300)["bias"]
        held.append(bias.low <= 0.03 <= bias.high)
    assert 0.90 <= np.mean(held) <= 0.99


def test_too_few_is_said_and_no_figure_is_given():
    dxa, value = people(v.MIN_PERSONS)
    none = v.agreement(dxa[:-1], value[:-1], np.arange(v.MIN_PERSONS - 1), half=[0.1] * 4)
    assert all(x.value is None and "too few to tell: 4 persons" in x.note for x in none.values())
    assert v.agreement(dxa, value, np.arange(v.MIN_PERSONS))["bias"].value is not None
    # Twenty CT of one person are one person.
    one = v.agreement(np.tile(dxa, 4), np.tile(value, 4), np.zeros(20))
    assert one["r"].value is None and "1 person" in one["r"].note
    low = np.arange(30) < v.MIN_CLASS - 1
    few = v.discrimination(low, np.arange(30.0), np.arange(30))
    assert few.value is None and few.note == "too few to tell: 4 with and 26 without"
    assert v.fitted_apart(value, dxa, np.arange(5)) is None


@pytest.mark.parametrize(
    ("dxa", "value"),
    [
        (np.ones(12), np.linspace(0.7, 1.2, 12)),
        (np.linspace(0.7, 1.2, 12), np.ones(12)),
        (np.full(12, 0.1) * 3, np.full(12, 0.3)),
        (np.zeros(12), np.zeros(12)),
        (np.r_[np.ones(11), 2.0], np.r_[np.ones(11), 2.0]),
    ],
)
def test_no_figure_is_ever_not_a_number(dxa, value):
    figures = v.agreement(dxa, value, np.arange(12), half=np.full(12, 0.05))
    figures["auc"] = v.discrimination(np.arange(12) < 6, value, np.arange(12))
    for name, figure in figures.items():
        for x in (figure.value, figure.low, figure.high):
            assert x is None or np.isfinite(x), name
        assert figure.value is not None or figure.note
        assert (figure.low is None) == (figure.high is None)


def test_a_coverage_of_all_still_has_a_limit():
    dxa, _ = people(20)
    figure = v.agreement(dxa, dxa + 0.01, np.arange(20), half=np.full(20, 0.1))["coverage"]
    # Exact binomial: with 20 of 20 inside, 83 % and more cannot be excluded at 2.5 %.
    assert figure.value == 1.0 and figure.high == 1.0
    assert figure.low == pytest.approx(stats.binomtest(20, 20).proportion_ci().low)


def test_the_line_that_is_fitted_without_the_person():
    dxa, value = people(24)
    persons = np.arange(24) // 2
    got = v.fitted_apart(value, dxa, persons)
    for i in range(24):
        others = persons != persons[i]
        line = stats.linregress(value[others], dxa[others])
        assert got[i] == pytest.approx(line.intercept + line.slope * value[i])
    assert v.fitted_apart(np.ones(24), dxa, persons) is None


def test_many_pairs_are_drawn_less_often():
    assert len(v.draw_weights(np.arange(100))) == 1 + v.DRAWS
    assert len(v.draw_weights(np.arange(10_000))) == 1 + v.MAX_WEIGHTS // 10_000


def test_the_advantage_is_the_difference_on_the_same_pairs():
    dxa, value = people(80)
    other = 900 * dxa - 700 + np.random.default_rng(5).normal(0, 90, 80)
    persons = np.arange(80) // 2
    fitted = v.fitted_apart(value, dxa, persons), v.fitted_apart(other, dxa, persons)
    got = v.advantage(dxa, value, other, persons, fitted=fitted)
    one, two = (v.association(dxa, x, persons) for x in (value, other))
    rmse = [np.sqrt(np.mean((x - dxa) ** 2)) for x in fitted]
    assert got["r"].value == pytest.approx(one["r"].value - two["r"].value)
    assert got["rho"].value == pytest.approx(one["rho"].value - two["rho"].value)
    assert got["rmse"].value == pytest.approx(rmse[0] - rmse[1])
    auc = [v.discrimination(dxa < 0.95, x, persons).value for x in (value, other)]
    assert v.auc_advantage(dxa < 0.95, value, other, persons).value == pytest.approx(
        auc[0] - auc[1]
    )
    # A value beside itself in another unit: no difference, whatever is drawn.
    same = v.advantage(dxa, value, 1000 * value - 300, persons)["r"]
    assert same.value == pytest.approx(0, abs=1e-9) and same.low is None
    assert v.auc_advantage(dxa < 0.01, value, other, persons).value is None
