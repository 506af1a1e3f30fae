"""The smallest choice of rules: against every choice, with its bound, and for ties."""

from __future__ import annotations

import itertools
import random

import pytest

from drift.backtest.domain.noise_cover import MAX_CHANGES, Atoms, CoverProblem, packed


def smallest(problem: CoverProblem, rules: int) -> int | None:
    """Return how many rules the smallest choice has that keeps the budget, by trying all."""
    for size in range(rules + 1):
        for chosen in itertools.combinations(range(rules), size):
            if not any(problem.remaining(chosen)):
                return size
    return None


@pytest.mark.parametrize("seed", range(60))
def test_the_choice_is_the_smallest_or_its_bound_says_that_it_may_not_be(seed: int) -> None:
    rng = random.Random(seed)
    rules, days = rng.randrange(2, 9), rng.randrange(1, 4)
    atoms: dict[tuple[int, ...], int] = {}
    for _ in range(rng.randrange(1, 14)):
        sets = tuple(sorted({rng.randrange(1, 1 << rules) for _ in range(rng.choice([1, 1, 1, 2]))}))
        atoms[sets] = sum(packed(day) * rng.randrange(4) for day in range(days))
    needs = [rng.randrange(12) for _ in range(days)]
    problem = CoverProblem(atoms, needs, [rng.randrange(5) for _ in range(rules)])
    cover, best = problem.solve(), smallest(problem, rules)
    if best is None:
        assert not cover.reached
    elif cover.reached:
        assert cover.at_least <= best <= len(cover.chosen)
        if all(len(sets) == 1 for sets in atoms):
            assert len(cover.chosen) == best == cover.at_least
    assert cover.reached is not any(problem.remaining(cover.chosen))


def test_of_two_rules_that_remove_the_same_the_narrower_is_chosen() -> None:
    atoms: Atoms = {(0b11,): packed(0) * 7}
    assert CoverProblem(atoms, [5], [9, 2]).solve().chosen == [1]
    assert CoverProblem(atoms, [5], [2, 9]).solve().chosen == [0]
    assert CoverProblem(atoms, [5], [2, 2]).solve().chosen == [0]


def test_a_greedy_choice_of_three_becomes_the_two_that_do() -> None:
    # The greatest rule is not one of the two: greedy alone takes three.
    atoms: Atoms = {(0b011,): packed(0) * 4, (0b101,): packed(0) * 4, (0b010,): packed(0) * 3, (0b100,): packed(0) * 3}
    cover = CoverProblem(atoms, [14], [0, 0, 0]).solve()
    assert (cover.chosen, cover.reached, cover.at_least) == ([1, 2], True, 2)


def test_no_more_rules_than_a_person_reads_are_chosen() -> None:
    atoms: Atoms = {(1 << number,): packed(0) for number in range(40)}
    cover = CoverProblem(atoms, [40], [0] * 40).solve()
    assert (len(cover.chosen), cover.reached) == (MAX_CHANGES, False)


def test_nothing_is_chosen_where_nothing_has_to_go() -> None:
    assert CoverProblem({}, [0], []).solve().chosen == []
    assert CoverProblem({}, [], []).solve().reached
