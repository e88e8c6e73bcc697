"""Ages of acquisition of single curves: known answers, refusals, published ages (EV-4)."""

import csv
import math
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tutelage.evals.naoa import (
    FRACTIONS,
    DoubleSigmoid,
    Refusal,
    Sigmoid,
    babylm_2025_age,
    chang_bergen_age,
    fit_double_sigmoid,
    fit_sigmoid,
    mean_naoa,
    naoa,
)

SPANS = [(2, 20, 2), (25, 100, 5), (110, 500, 10), (550, 1000, 50), (1500, 10_000, 500)]
STEPS = [step for first, last, by in SPANS for step in range(first, last + 1, by)]
X = np.log10(np.array(STEPS, dtype=float))
NOISE = 0.1


def seen(**parameters: float) -> DoubleSigmoid:
    return DoubleSigmoid(**parameters, first=float(X[0]), last=float(X[-1]))


def noise(seed: int, sd: float = NOISE) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sd, len(X))


def steepness(curve, x: float) -> float:
    """Bits that a curve falls per log10 step around x."""
    return float(curve(np.array([x - 0.01]))[0] - curve(np.array([x + 0.01]))[0]) / 0.02


double_sigmoids = st.builds(
    seen,
    lower=st.floats(1, 6),
    fall_1=st.floats(1, 7),
    fall_2=st.floats(1, 7),
    midpoint_1=st.floats(0.8, 1.6),
    midpoint_2=st.floats(2.2, 3.2),
    scale_1=st.floats(0.05, 0.2),
    scale_2=st.floats(0.05, 0.2),
)


class Found(NamedTuple):
    """How far a found age is from the right one, and the least error that noise allows."""

    error: float
    bound: float


@pytest.fixture(scope="module")
def found() -> list[Found]:
    """Ages at five fractions of a hundred curves with noise; the same in every run."""
    rng = np.random.default_rng(7)
    ranges = {"lower": (1, 6), "fall_1": (1, 7), "fall_2": (1, 7)}
    ranges |= {"midpoint_1": (0.8, 1.6), "midpoint_2": (2.2, 3.2)}
    ranges |= {"scale_1": (0.05, 0.2), "scale_2": (0.05, 0.2)}
    ages = []
    for _ in range(100):
        curve = seen(**{name: rng.uniform(*limits) for name, limits in ranges.items()})
        fit = fit_double_sigmoid(X, curve(X) + rng.normal(0, NOISE, len(X)))
        assert isinstance(fit, DoubleSigmoid)
        for fraction in (0.1, 0.3, 0.5, 0.7, 0.9):
            error = naoa(fit, fraction) - naoa(curve, fraction)
            ages.append(Found(error, least_error(curve, fraction)))
    return ages


def least_error(curve: DoubleSigmoid, fraction: float) -> float:
    """The least standard deviation that an unbiased age can have (Cramér and Rao), log10 steps.

    With normal noise, information is JᵀJ / σ², where J has the slopes of the curve at every
    milestone by its seven parameters; an age varies as its own slopes by these.
    """

    def slopes(value) -> np.ndarray:
        steps = [
            [curve._replace(**{name: getattr(curve, name) + by}) for by in (1e-4, -1e-4)]
            for name in DoubleSigmoid._fields[:7]
        ]
        return np.array([(value(more) - value(less)) / 2e-4 for more, less in steps])

    of_curve, of_age = slopes(lambda c: c(X)), slopes(lambda c: naoa(c, fraction))
    variance = of_age @ np.linalg.solve(of_curve @ of_curve.T, of_age)
    return NOISE * math.sqrt(variance)


def test_ages_of_known_curves_are_recovered_wherever_noise_permits(found):
    """EV-4: within 0.02 log10 steps at 0.1 bits of noise, if that is three standard errors."""
    permitted = [abs(age.error) for age in found if 3 * age.bound <= 0.02]
    assert len(permitted) > 150
    assert max(permitted) <= 0.02


def test_ages_are_as_exact_as_any_unbiased_estimate(found):
    """EV-4: errors in units of the least possible standard deviation have a mean square of 1."""
    ratios = [age.error / age.bound for age in found if age.bound <= 0.02]
    assert len(ratios) > 400
    assert np.mean(np.square(ratios)) == pytest.approx(1, abs=0.1)
    assert np.mean(ratios) == pytest.approx(0, abs=0.15)


@settings(max_examples=30)
@given(curve=double_sigmoids)
def test_without_noise_every_age_is_exact(curve):
    """EV-4: also that at the end of the plateau, and the average."""
    fit = fit_double_sigmoid(X, curve(X))
    assert isinstance(fit, DoubleSigmoid)
    # Two falls that have run into one leave their parameters, not the curve, open.
    assert fit(X) == pytest.approx(curve(X), abs=0.02)
    for fraction in FRACTIONS:
        assume(steepness(curve, naoa(curve, fraction)) > 1)
        assert naoa(fit, fraction) == pytest.approx(naoa(curve, fraction), abs=0.02)


@pytest.mark.parametrize(
    ("fraction", "age"),
    [
        # One fall of 8 bits around 2 (from 10 to 2): 0.5 of it at 2; logistic(-ln 4) is 0.2.
        (0.5, 2.0),
        (0.8, 2 + 0.1 * math.log(4)),
        (0.2, 2 - 0.1 * math.log(4)),
    ],
)
def test_age_is_where_the_fraction_of_the_fall_is_past(fraction, age):
    """EV-4: by hand."""
    curve = seen(lower=2, fall_1=8, fall_2=0, midpoint_1=2, midpoint_2=3, scale_1=0.1, scale_2=0.1)
    assert naoa(curve, fraction) == pytest.approx(age, abs=1e-5)


def test_the_whole_fall_is_the_one_that_was_seen():
    """EV-4: milestones end in the middle of the fall from 10 to 2, at 6: half of it is at 8."""
    curve = DoubleSigmoid(
        lower=2,
        fall_1=8,
        fall_2=0,
        midpoint_1=2,
        midpoint_2=3,
        scale_1=0.1,
        scale_2=0.1,
        first=0,
        last=2,
    )
    assert naoa(curve, 0.5) == pytest.approx(2 - 0.1 * math.log(3), abs=1e-6)


def test_the_average_is_over_ten_fractions():
    """EV-4: 0.50, 0.55, …, 0.95, by hand on a logistic fall."""
    assert FRACTIONS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    curve = seen(lower=2, fall_1=8, fall_2=0, midpoint_1=2, midpoint_2=3, scale_1=0.1, scale_2=0.1)
    expected = np.mean([2 + 0.1 * math.log(p / (1 - p)) for p in FRACTIONS])
    assert mean_naoa(curve) == pytest.approx(expected, abs=1e-4)
    assert all(naoa(curve, one) < naoa(curve, two) for one, two in pairwise(FRACTIONS))


@pytest.mark.parametrize("count", [8, 12, 25, 94])
@pytest.mark.parametrize("sd", [0, 0.1, 0.5])
def test_flat_curves_have_no_age(count, sd):
    """EV-4: whatever the noise, and however few the milestones."""
    x = np.linspace(0.3, 4, count)
    for seed in range(4):
        y = 9 + np.random.default_rng(seed).normal(0, sd, count)
        for fit in (fit_double_sigmoid(x, y), fit_sigmoid(x, y)):
            assert isinstance(fit, Refusal)
            if sd < 0.5:
                assert fit.reason == "surprisal does not fall clearly"


@settings(max_examples=20)
@given(rise=st.floats(2, 8), middle=st.floats(1, 3), seed=st.integers(0, 99))
def test_rising_curves_have_no_age(rise, middle, seed):
    """EV-4."""
    y = 6 + rise / (1 + np.exp(-(X - middle) / 0.2)) + noise(seed)
    assert fit_double_sigmoid(X, y) == Refusal("surprisal rises")
    assert fit_sigmoid(X, y) == Refusal("surprisal rises")
    assert isinstance(babylm_2025_age(np.array(STEPS), y), Refusal)


def test_empty_and_short_curves_have_no_age():
    """EV-4: no milestone, none that was measured, and as many as there are parameters."""
    nothing = np.array([])
    for fit in (fit_double_sigmoid, fit_sigmoid):
        assert fit(nothing, nothing) == Refusal("no surprisal at any milestone")
        assert fit(X, np.full(len(X), np.nan)) == Refusal("no surprisal at any milestone")
    falling = Sigmoid(15, 3, 2, 0.2)
    x = np.linspace(1, 3, 7)
    assert fit_double_sigmoid(x, falling(x)) == Refusal(
        "7 milestones are too few for a curve of 7 parameters"
    )
    assert isinstance(
        fit_double_sigmoid(np.linspace(1, 3, 8), falling(np.linspace(1, 3, 8))), tuple
    )
    assert fit_sigmoid(x[:4], falling(x[:4])) == Refusal(
        "4 milestones are too few for a curve of 4 parameters"
    )
    assert babylm_2025_age(nothing, nothing) == Refusal("fewer than three surprisals")


def test_milestones_without_a_surprisal_change_nothing():
    """EV-4."""
    curve = Sigmoid(15, 3, 2, 0.2)
    y = curve(X) + noise(3)
    gaps = np.insert(y, [0, 10, len(y)], np.nan)
    x = np.insert(X, [0, 10, len(X)], [0.1, (X[9] + X[10]) / 2, 5.0])
    assert fit_double_sigmoid(x, gaps) == fit_double_sigmoid(X, y)
    assert fit_sigmoid(x, gaps) == fit_sigmoid(X, y)


@settings(max_examples=30)
@given(
    upper=st.floats(12, 18),
    lower=st.floats(2, 8),
    midpoint=st.floats(1.5, 3),
    scale=st.floats(0.05, 0.25),
    seed=st.integers(0, 99),
)
def test_sigmoid_is_recovered_from_noise(upper, lower, midpoint, scale, seed):
    """EV-4: the crossing of the middle between chance and minimum, within 0.02 log10 steps."""
    truth = Sigmoid(upper, lower, midpoint, scale)
    fit = fit_sigmoid(X, truth(X) + noise(seed))
    assert isinstance(fit, Sigmoid)
    height = (upper + lower) / 2
    assume(steepness(truth, midpoint) > 8)
    assert fit.crossing(height) == pytest.approx(midpoint, abs=0.02)


def test_crossing_is_where_the_curve_has_the_height():
    """EV-4: by definition."""
    curve = Sigmoid(15, 3, 2, 0.3)
    for height in (3.1, 5, 9, 14.9):
        assert float(curve(np.array([curve.crossing(height)]))[0]) == pytest.approx(height)


@pytest.mark.parametrize(
    ("minimum", "chance", "first", "last", "outcome"),
    [
        # The curve falls from 15 to 3 around 2; (15 + 3) / 2 = 9 is its own middle.
        (3, 15, 1, 3, 2.0),
        (14, 13, 1, 3, "never below that of uniform chance"),
        (1, 4, 1, 3, "does not come down to the middle"),
        (3, 28, 1, 3, "before the first milestone"),
        (3, 15, 2.1, 3, "before the first milestone"),
        (3, 15, 1, 1.9, "up to the last milestone"),
    ],
)
def test_age_against_chance_is_inside_the_milestones_or_refused(
    minimum, chance, first, last, outcome
):
    """EV-4: every branch, by hand."""
    curve = Sigmoid(15, 3, 2, 0.3)
    age = chang_bergen_age(curve, minimum=minimum, chance=chance, first=first, last=last)
    if isinstance(age, Refusal):
        assert outcome in age.reason
    else:
        assert age == pytest.approx(outcome)


def test_babylm_takes_nats_against_bits():
    """EV-4: by hand. The middle is (log2 300000 + 4) / 2 = 11.10, so a curve from 14 to 4 nats
    crosses it above its own middle of 9: at 7 − 0.3·ln(1 / 0.71 − 1) in log10 (words + 1).
    """
    words = np.array([i * 1e6 for i in range(1, 10)] + [i * 1e7 for i in range(1, 11)])
    nats = 4 + 10 / (1 + np.exp((np.log10(words + 1) - 7) / 0.3))
    minimum = nats.min()
    middle = (math.log2(300_000) + minimum) / 2
    expected = 7 + 0.3 * math.log(10 / (middle - 4) - 1)
    age = babylm_2025_age(words, nats)
    assert age == pytest.approx(expected, abs=1e-6)
    assert not isinstance(age, Refusal)
    assert age < 7


def test_babylm_refuses_ages_outside_the_milestones():
    """EV-4: the same curve, cut before its middle and after it."""
    words = np.geomspace(1e5, 1e9, 60)
    nats = 4 + 12 / (1 + np.exp((np.log10(words + 1) - 7) / 0.3))
    age = babylm_2025_age(words, nats)
    assert isinstance(age, float)
    outside = Refusal("the middle is crossed outside the milestones")
    late = words > 10 ** (age + 0.05)
    assert babylm_2025_age(words[late], nats[late]) == outside
    # Up to 11 nats; one easy context of 1 nat moves the middle to 9.6, which lies ahead.
    early = nats > 11
    amounts, seen_nats = np.append(words[early], words[early][-1]), np.append(nats[early], 1.0)
    many = np.repeat(amounts[:-1], 50), np.repeat(seen_nats[:-1], 50)
    assert (
        babylm_2025_age(np.append(many[0], amounts[-1]), np.append(many[1], seen_nats[-1]))
        == outside
    )


def test_babylm_discards_a_word_that_a_consistent_unit_would_keep():
    """EV-4: a fall from 9.5 to 4 nats; chance is 12.6 nats, and the consistent middle 8.3."""
    words = np.geomspace(1e6, 1e8, 19)
    nats = 4 + 5.5 / (1 + np.exp((np.log10(words) - 7) / 0.2))
    assert "does not cross the middle" in babylm_2025_age(words, nats).reason


def test_babylm_takes_the_minimum_over_single_contexts():
    """EV-4: one easy context at the end lowers the middle, and so moves the age later."""
    words = np.repeat([i * 1e6 for i in range(1, 10)] + [i * 1e7 for i in range(1, 11)], 2)
    nats = 4 + 12 / (1 + np.exp((np.log10(words) - 7) / 0.3))
    easy = nats.copy()
    easy[-1] = 0.5
    one, other = babylm_2025_age(words, nats), babylm_2025_age(words, easy)
    assert isinstance(one, float)
    assert isinstance(other, float)
    assert other - one > 0.05


@pytest.mark.parametrize(
    ("words", "reason"),
    [(np.array([1e6] * 5), "sigmoid"), (np.array([1e6, 2e6, 3e6]), "no sigmoid can be fitted")],
)
def test_babylm_refuses_what_no_sigmoid_fits(words, reason):
    """EV-4."""
    found = babylm_2025_age(words, np.linspace(9, 3, len(words)))
    assert isinstance(found, Refusal)
    assert reason in found.reason or "does not" in found.reason


def published(shared_data: Path) -> list[dict[str, str]]:
    file = shared_data / "chang_bergen_gpt2" / "gpt2_aoa.txt"
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def reference(row: dict[str, str]) -> Sigmoid:
    """The published curve; a negative scale turns its ends round."""
    names = ("ParamUpper", "ParamLower", "ParamXmid", "ParamScale")
    upper, lower, midpoint, scale = (float(row[name]) for name in names)
    ends = (upper, lower) if scale > 0 else (lower, upper)
    return Sigmoid(*ends, midpoint, abs(scale))


# Published: uniform over 30,000 tokens, milestones from step 100 to 1,000,000.
LIMITS = {"chance": math.log2(30_000), "first": 2.0, "last": 6.0}


def test_published_ages_follow_from_published_curves(shared_data):
    """EV-4: the 431 words that fall in time; the other two stand at the last step there."""
    differences, late = [], []
    for row in published(shared_data):
        minimum, age = float(row["MinSurprisal"]), float(row["LmAoA"])
        found = chang_bergen_age(reference(row), minimum=minimum, **LIMITS)
        if isinstance(found, Refusal):
            late.append((row["Token"], age))
        else:
            differences.append(abs(found - age))
    assert len(differences) == 431
    assert max(differences) < 1e-9
    assert late == [("quack", 6.0), ("yum", 6.0)]


def test_published_ages_are_found_again_by_fitting(shared_data):
    """EV-4: the published curves at 100 steps, fitted anew; no age differs by more than 0.1."""
    x = np.log10(np.geomspace(100, 1_000_000, 100))
    differences = []
    for row in published(shared_data):
        fit = fit_sigmoid(x, reference(row)(x))
        minimum, age = float(row["MinSurprisal"]), float(row["LmAoA"])
        if isinstance(fit, Refusal):
            assert age == 6.0
            continue
        found = chang_bergen_age(fit, minimum=minimum, **LIMITS)
        differences.append(6.0 - age if isinstance(found, Refusal) else abs(found - age))
    assert len(differences) == 432
    assert np.median(differences) < 1e-6
    assert max(differences) < 0.001
