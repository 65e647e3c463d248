"""What ratings say: wins per dimension, agreement, and raters who keep to one answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph_cooper.graph.evaluation.judging.pairs import Systems
from langgraph_cooper.graph.evaluation.judging.ratings import Rated
from langgraph_cooper.graph.evaluation.judging.significance import sign_test, signs_by_unit
from langgraph_cooper.graph.evaluation.rating.agreement import (
    fleiss_kappa,
    krippendorff_alpha,
    rated_by_all,
)
from langgraph_cooper.graph.evaluation.rating.rows import ANSWERS, OVERALL, Answer, Pairs, Rating
from langgraph_cooper.graph.evaluation.rating.together import RESULTS, rated_together
from langgraph_cooper.ranker.evaluation.holm import holm

FEWEST = 6
"""Answers before a constant one is told from chance: six coins fall alike with p = 1/32."""

Votes = Mapping[str, Mapping[str, int]]
"""Pair -> rater -> 1 for the one system, -1 for the other, 0 for a tie."""


def rating_report(
    pairs: Pairs, ratings: Sequence[Rating], questions: Mapping[str, str]
) -> dict[str, Any]:
    """Return the report as plain values.

    Returns:
        `compared`, in the form of a model judge's report: for each pair of systems the number of
        rated `pairs` and `dimensions` with `wins`, `ties` and `losses` (of pairs, by the raters'
        majority), `ratings`, `roles_won` and `roles_lost` (the units of the test), `share`,
        `interval`, `p`, and `p_holm`, corrected over all pairs of systems and dimensions.
        `agreement` per dimension, and `raters` with what each chose.
    """
    votes = {name: _votes(pairs, ratings, name) for name in questions}
    raters = sorted({one.rater for one in ratings})
    return {
        "task": pairs.task,
        "pairs": len(pairs.by_id),
        "rated": len({one.pair for one in ratings}),
        "ratings": len(ratings),
        "compared": _compared(pairs, rated_together(pairs, ratings, questions), [*questions]),
        "agreement": {name: _agreement(given, raters) for name, given in votes.items()},
        "raters": {name: _rater([one for one in ratings if one.rater == name]) for name in raters},
    }


def _votes(pairs: Pairs, ratings: Sequence[Rating], dimension: str) -> Votes:
    found: dict[str, dict[str, int]] = {}
    for one in ratings:
        if (result := one.result(pairs.by_id[one.pair], dimension)) is not None:
            found.setdefault(one.pair, {})[one.rater] = result
    return found


def _compared(
    pairs: Pairs, rated: Sequence[Rated], dimensions: Sequence[str]
) -> list[dict[str, Any]]:
    by_systems: dict[Systems, list[Rated]] = {}
    for one in rated:
        by_systems.setdefault(pairs.by_id[one.id].systems, []).append(one)
    found: list[dict[str, Any]] = [
        {
            "systems": list(systems),
            "pairs": len({one.id for one in own}),
            "dimensions": {
                name: _counted(pairs, [one for one in own if one.dimension == name])
                for name in dimensions
            },
        }
        for systems, own in by_systems.items()
    ]
    rows = [row for each in found for row in each["dimensions"].values()]
    corrected = holm({at: row["p"] for at, row in enumerate(rows)})
    for at, row in enumerate(rows):
        row["p_holm"] = corrected[at]
    return found


def _counted(pairs: Pairs, rated: Sequence[Rated]) -> dict[str, Any]:
    results = [(pairs.by_id[one.id].unit, RESULTS[one.majority]) for one in rated]
    counts = Counter(result for _, result in results)
    test = sign_test(*signs_by_unit(results))
    return {
        "wins": counts[1],
        "ties": counts[0],
        "losses": counts[-1],
        "ratings": sum(len(one.ratings) for one in rated),
        "roles_won": test.wins,
        "roles_lost": test.losses,
        "share": test.share,
        "interval": list(test.interval) if test.interval else None,
        "p": test.p,
    }


def _agreement(votes: Votes, raters: Sequence[str]) -> dict[str, Any]:
    by_all = rated_by_all(votes, raters)
    return {
        "fleiss_kappa": fleiss_kappa(by_all),
        "pairs_of_all_raters": len(by_all) if len(raters) > 1 else 0,
        "krippendorff_alpha": krippendorff_alpha(votes),
        "pairs_of_several_raters": sum(len(each) > 1 for each in votes.values()),
    }


def _rater(ratings: Sequence[Rating]) -> dict[str, Any]:
    overall = Counter(one.answers[OVERALL] for one in ratings if OVERALL in one.answers)
    every = Counter(answer for one in ratings for answer in one.answers.values())
    return {
        "pairs": len(ratings),
        "answers": {answer: every[answer] for answer in ANSWERS},
        "overall": {answer: overall[answer] for answer in ANSWERS},
        "p_left": sign_test(overall["left"], overall["right"]).p,
        "always": _always(overall),
    }


def _always(counts: Mapping[Answer, int]) -> Answer | None:
    """Return the answer that a rater always gives; ties beside one side do not hide it."""
    left, tie, right = (counts.get(answer, 0) for answer in ANSWERS)
    if left + right >= FEWEST and 0 in (left, right):
        return "left" if left else "right"
    return "tie" if tie >= FEWEST and left + right == 0 else None
