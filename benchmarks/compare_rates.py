"""How often a comparison of runs finds a difference: none that is there, one that is, and among pictures asked often.

    python benchmarks/compare_rates.py --simulations 10000

No model runs: right and wrong answers are drawn, and compared by what ``vlmkit compare`` uses. The last table takes the
whole way, from records to the comparison, over a tenth as many simulations.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, chi2

from vlmkit.comparison import Comparison, JudgedRun
from vlmkit.measures import examples_needed, holm, sign_flip_p
from vlmkit.runs import Record, StoredRun
from vlmkit.types import Usage

LEVEL = 0.05

Row = tuple[str, ...]


@cache
def mid_p(only_a: int, only_b: int) -> float:
    """Return p of McNemar's test as ``vlmkit compare`` has it."""
    return sign_flip_p(np.repeat([-1, 1], (only_a, only_b)))


@cache
def exact_p(only_a: int, only_b: int) -> float:
    """Return p of McNemar's exact test."""
    return float(min(1.0, 2 * binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))


@cache
def chi_squared_p(only_a: int, only_b: int) -> float:
    """Return p of McNemar's test by the chi-squared distribution, without correction."""
    return float(chi2.sf((only_a - only_b) ** 2 / (only_a + only_b), 1)) if only_a + only_b else 1.0


def drawn(rng: np.random.Generator, trials: int, n: int, a: float, b: float) -> list[tuple[int, int]]:
    """Return in how many of n examples one run alone is right, in each trial.

    Args:
        rng: Draws.
        trials: Trials.
        n: Examples in each.
        a: Chance that the first run alone is right.
        b: Chance that the second is.
    """
    return [(one, other) for one, other, _ in rng.multinomial(n, [a, b, 1 - a - b], size=trials).tolist()]


def rate(rejected: int, trials: int) -> str:
    """Return a share in percent."""
    return f"{rejected / trials:.1%}"


def false_alarms(rng: np.random.Generator, trials: int) -> Iterator[Row]:
    """Two runs that are equally good, by the mean number of examples that one of them alone has right."""
    yield "examples that differ, of 1,000", "exact", "mid-p", "chi-squared"
    for differ in (5, 10, 20, 50, 100, 400):
        counts = drawn(rng, trials, 1000, differ / 2000, differ / 2000)
        tests = (exact_p, mid_p, chi_squared_p)
        yield str(differ), *(rate(sum(test(*pair) <= LEVEL for pair in counts), trials) for test in tests)


def planted(rng: np.random.Generator, trials: int) -> Iterator[Row]:
    """Two runs of which the second is better, over as many examples as 80 % power takes."""
    yield "only first", "only second", "examples needed", "found"
    for a, b in ((0.00, 0.05), (0.02, 0.05), (0.05, 0.10), (0.10, 0.12), (0.20, 0.30)):
        shares = np.array([a, b, 1 - a - b])
        n = examples_needed(np.repeat([-1.0, 1.0, 0.0], np.rint(1000 * shares).astype(int)), np.ones(1000))
        assert n is not None
        found = sum(mid_p(*pair) <= LEVEL for pair in drawn(rng, trials, n, a, b))
        yield f"{a:.0%}", f"{b:.0%}", f"{n:,}", rate(found, trials)


def asked_often(rng: np.random.Generator, trials: int) -> Iterator[Row]:
    """Two equally good runs over pictures with five examples each, which tend to be known all together."""
    yield "pictures", "as if examples were independent", "whole pictures"
    for pictures in (20, 50, 100):
        tilt = rng.beta(0.5, 0.5, size=(trials, pictures))
        change = rng.binomial(5, 0.4, size=(trials, pictures))
        second = rng.binomial(change, tilt)
        alone = [(change - second).sum(axis=1).tolist(), second.sum(axis=1).tolist()]
        naive = sum(mid_p(a, b) <= LEVEL for a, b in zip(*alone, strict=True))
        whole = sum(sign_flip_p(one) <= LEVEL for one in 2 * second - change)
        yield str(pictures), rate(naive, trials), rate(whole, trials)


def many_pairs(rng: np.random.Generator, trials: int) -> Iterator[Row]:
    """Runs that are all equally good over 400 examples: how often any pair is said to differ."""
    yield "runs", "pairs", "p", "Holm"
    for runs in (2, 3, 5):
        plain = adjusted = 0
        for _ in range(trials):
            hard = rng.random(400)
            right = rng.random((runs, 400)) < np.where(hard < 0.7, 0.95, 0.2)
            ps = [pair_p(right[a], right[b]) for a in range(runs) for b in range(a)]
            plain += min(ps) <= LEVEL
            adjusted += min(holm(ps)) <= LEVEL
        yield str(runs), str(runs * (runs - 1) // 2), rate(plain, trials), rate(adjusted, trials)


def pair_p(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return p of two runs, given which examples each has right."""
    return mid_p(int((a & ~b).sum()), int((b & ~a).sum()))


def whole_way(rng: np.random.Generator, trials: int) -> Iterator[Row]:
    """Records of two runs over 469 examples, compared as ``vlmkit compare`` does."""
    yield "only first", "only second", "found", "interval holds the difference"
    for a, b in ((0.075, 0.075), (0.05, 0.10)):
        found = held = 0
        for _ in range(trials):
            kinds = rng.choice(4, p=[a, b, 0.6, 0.4 - a - b], size=469)
            runs = [run("a", (kinds == 0) | (kinds == 2)), run("b", (kinds == 1) | (kinds == 2))]
            (pair,) = Comparison.of(runs).pairs
            found += pair.compared.p <= LEVEL
            held += pair.compared.difference.low <= b - a <= pair.compared.difference.high
        yield f"{a:.1%}", f"{b:.1%}", rate(found, trials), rate(held, trials)


def run(name: str, right: NDArray[np.bool_]) -> JudgedRun:
    """Return a run in memory, given which examples it has right."""
    records = {
        str(index): Record(str(index), "x" if one else "y", "x", one, (), (), None, Usage(), None)
        for index, one in enumerate(right.tolist())
    }
    return JudgedRun(StoredRun(Path(name), {"fingerprint": {}}, {"status": "success"}), records)


@click.command()
@click.option("--simulations", type=click.IntRange(min=10), default=10000, show_default=True, help="For each figure.")
@click.option("--seed", type=int, default=0, show_default=True)
def main(simulations: int, seed: int) -> None:
    """Print one table for each question."""
    for question, trials in (
        (false_alarms, simulations),
        (planted, simulations),
        (asked_often, simulations),
        (many_pairs, simulations),
        (whole_way, simulations // 10),
    ):
        low, high = binom.ppf([0.025, 0.975], trials, LEVEL) / trials
        click.echo(f"{question.__doc__}\n{trials:,} simulations; 5 % would be {low:.1%} to {high:.1%}.\n")
        head, *rows = question(np.random.default_rng(seed), trials)
        for line in (head, ("--:",) * len(head), *rows):
            click.echo(f"| {' | '.join(line)} |")
        click.echo()


if __name__ == "__main__":
    main()
