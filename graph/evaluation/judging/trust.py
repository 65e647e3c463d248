"""How good a judge is: agreement with people beyond chance, and biases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from langgraph_cooper.graph.evaluation.interactive.rows import digest
from langgraph_cooper.graph.evaluation.judging.dimensions import dimensions_of
from langgraph_cooper.graph.evaluation.judging.judge import Judge, Matter, Verdict
from langgraph_cooper.graph.evaluation.judging.ratings import Rated, majority_of
from langgraph_cooper.graph.evaluation.judging.significance import sign_test, signs_by_unit
from langgraph_cooper.nodes.language.text import words
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.evaluation.holm import holm

RESULTS = {1: "first", -1: "second", 0: "tie"}
SIGNS = {name: result for result, name in RESULTS.items()}
BY_PLACE = 0.9
"""From this share of choices of one place on, a judge goes by the place."""
CHANCE = 0.05
"""Below this p, choices of one place are no chance: one choice alone is always of one place."""


def calibrating_matters(rated: Sequence[Rated], task: TaskSpec) -> list[Matter]:
    """Return what a judge is asked about rated pairs.

    Raises:
        DataError: A dimension has no question: neither in the file nor in the task.
    """
    known = dimensions_of(task)
    found = []
    for each in rated:
        question = each.question or known.get(each.dimension)
        if question is None:
            raise DataError(
                f"the rating {each.id!r} is in the dimension {each.dimension!r}, which the task "
                f'{task.name!r} does not ask about: add a "question", or name one of '
                f"{', '.join(known)}"
            )
        talks = each.talk("first"), each.talk("second")
        found.append(Matter(digest(each.id, *talks), each.dimension, question, *talks))
    return found


def calibration_report(
    rated: Sequence[Rated], matters: Sequence[Matter], judge: Judge
) -> dict[str, Any]:
    """Compare a judge with people.

    Returns:
        `dimensions`: per dimension `pairs`, `judged`, `agreement` (share of the same verdict),
        `kappa` (Cohen's, 0 by chance), `against` (share of opposite winners), `raters` (how often
        a rater agrees with the others' majority, over the judged pairs), flips, refused and
        unreadable pairs, and p of more agreements than disagreements where both named a winner,
        by unit, corrected by Holm. `position` and `length`: biases over all answers, with people's
        choices of length beside. `by_place`: whether the judge goes by the place.
    """
    verdicts = [judge.verdict(matter) for matter in matters]
    names = list(dict.fromkeys(each.dimension for each in rated))
    found: dict[str, Any] = {}
    for name in names:
        rows = [
            (each, verdict)
            for each, verdict in zip(rated, verdicts, strict=True)
            if each.dimension == name
        ]
        found[name] = _dimension(rows)
    corrected = holm({name: row["p"] for name, row in found.items()})
    for name, row in found.items():
        row["p_holm"] = round(corrected[name], 6)
    position = _position(rated, verdicts)
    return {
        "pairs": len({each.id for each in rated}),
        "dimensions": found,
        "position": position,
        "length": _length(rated, matters, verdicts),
        "by_place": _by_place(position),
    }


def _dimension(rows: Sequence[tuple[Rated, Verdict | None]]) -> dict[str, Any]:
    known = [(each, v) for each, v in rows if v is not None and v.result is not None]
    people = [each.majority for each, _ in known]
    machine = [RESULTS[v.result] for _, v in known if v.result is not None]
    same = sum(one == other for one, other in zip(people, machine, strict=True))
    decided = [
        (_unit(each), 1 if one == other else -1)
        for (each, _), one, other in zip(known, people, machine, strict=True)
        if "tie" not in (one, other)
    ]
    unjudged = [v for _, v in rows if v is not None and v.result is None]
    return {
        "pairs": len(rows),
        "judged": len(known),
        "agreement": _share(same, len(known)),
        "kappa": kappa(people, machine),
        "against": _share(sum(sign < 0 for _, sign in decided), len(known)),
        "raters": _raters([each for each, _ in known]),
        "flips": sum(v.flipped for _, v in known),
        "refused": sum("refused" in v for v in unjudged),
        "unreadable": sum("refused" not in v for v in unjudged),
        "unasked": sum(v is None for _, v in rows),
        "p": round(sign_test(*signs_by_unit(decided)).p, 6),
    }


def _unit(rated: Rated) -> str:
    """Return what a sign test counts once: pairs of one role are not independent."""
    return rated.unit or rated.id


def kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Cohen's kappa: agreement beyond what chance gives; None where chance alone gives all."""
    from sklearn.metrics import cohen_kappa_score

    if not first or len({*first, *second}) == 1:
        return None
    return round(float(cohen_kappa_score(first, second)), 4)


def _raters(rated: Sequence[Rated]) -> float | None:
    """Return how often a rater agrees with the others' majority, where they have one."""
    same = []
    for each in rated:
        for place, rating in enumerate(each.ratings):
            others = [*each.ratings[:place], *each.ratings[place + 1 :]]
            most = majority_of(others) if others else "tie"
            if most != "tie" or "tie" in others:  # else the others are split, and nobody said a tie
                same.append(rating == most)
    return _share(sum(same), len(same))


def _position(rated: Sequence[Rated], verdicts: Sequence[Verdict | None]) -> dict[str, Any]:
    """Count which place was chosen, over both orders: without bias each is half of the choices.

    Places are swapped within a pair, so that a role says nothing of them: the pair is the unit.
    """
    results = [
        (each.id, SIGNS[choice])
        for each, verdict in zip(rated, verdicts, strict=True)
        for choice in verdict or ()
        if choice in SIGNS
    ]
    ties = sum(result == 0 for _, result in results)
    return {**_bias(results, "first", "second"), "ties": ties}


def _by_place(position: dict[str, Any]) -> bool:
    """Tell whether a judge goes by the place, with enough choices to say so."""
    share = position["share"]
    return share is not None and max(share, 1 - share) >= BY_PLACE and position["p"] < CHANCE


def _length(
    rated: Sequence[Rated], matters: Sequence[Matter], verdicts: Sequence[Verdict | None]
) -> dict[str, Any]:
    """Count how often the longer system side won, and how often with people over the same ratings.

    A preference that people share is no bias.
    """
    judge, people = [], []
    for each, matter, verdict in zip(rated, matters, verdicts, strict=True):
        one, other = _size(matter.one), _size(matter.other)
        if verdict is None or verdict.result is None or one == other:
            continue
        longer = 1 if one > other else -1
        judge.append((_unit(each), longer * verdict.result))
        people.append((_unit(each), longer * SIGNS[each.majority]))
    return {**_bias(judge, "longer", "shorter"), "people": _bias(people, "longer", "shorter")}


def _bias(results: Sequence[tuple[str, int]], one: str, other: str) -> dict[str, Any]:
    """Count choices of two kinds, and test them.

    The dimensions and orders of one pair are not independent, nor are the lengths of pairs of one
    role: the test takes a unit's results together.

    Args:
        results: Pairs of a unit and 1 (the one kind), -1 (the other) or 0 (neither).
        one: The name of the one kind.
        other: The name of the other.

    Returns:
        Choices of each kind, the `share` of the one, `pairs_...`: units with more choices of each
        kind, and their `p`.
    """
    counts = Counter(result for _, result in results)
    test = sign_test(*signs_by_unit(results))
    return {
        one: counts[1], other: counts[-1], "share": _share(counts[1], counts[1] + counts[-1]),
        f"pairs_{one}": test.wins, f"pairs_{other}": test.losses, "p": round(test.p, 6),
    }  # fmt: skip


def _size(talk: Sequence[Any]) -> int:
    return sum(len(words(said.text)) for said in talk if said.speaker == "system")


def _share(count: int, total: int) -> float | None:
    return round(count / total, 4) if total else None
