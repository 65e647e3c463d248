"""How good a judge is: agreement with people beyond chance, and biases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph_cooper.graph.evaluation.interactive.rows import digest
from langgraph_cooper.graph.evaluation.judging.dimensions import dimensions_of
from langgraph_cooper.graph.evaluation.judging.judge import Judge, Matter, Verdict
from langgraph_cooper.graph.evaluation.judging.ratings import Rated
from langgraph_cooper.graph.evaluation.judging.significance import holm, sign_test
from langgraph_cooper.nodes.language.text import words
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import DataError

RESULTS = {1: "first", -1: "second", 0: "tie"}
BY_PLACE = 0.9
"""From this share of choices of one place on, a judge goes by the place."""


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
        single raters agree with their majority), flips, refused and unreadable pairs, and p of
        more agreements than disagreements where both named a winner, corrected by Holm. `position`
        and `length`: biases over all answers. `by_place`: whether the judge goes by the place.
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
    asked = [verdict for verdict in verdicts if verdict is not None]
    position = _position(asked)
    return {
        "pairs": len({each.id for each in rated}),
        "dimensions": found,
        "position": position,
        "length": _length(matters, verdicts),
        "by_place": position["share"] is not None
        and max(position["share"], 1 - position["share"]) >= BY_PLACE,
    }


def _dimension(rows: Sequence[tuple[Rated, Verdict | None]]) -> dict[str, Any]:
    known = [(each, v) for each, v in rows if v is not None and v.result is not None]
    people = [each.majority for each, _ in known]
    machine = [RESULTS[v.result] for _, v in known if v.result is not None]
    same = sum(one == other for one, other in zip(people, machine, strict=True))
    decided = [
        one == other
        for one, other in zip(people, machine, strict=True)
        if "tie" not in (one, other)
    ]
    unjudged = [v for _, v in rows if v is not None and v.result is None]
    return {
        "pairs": len(rows),
        "judged": len(known),
        "agreement": _share(same, len(known)),
        "kappa": kappa(people, machine),
        "against": _share(decided.count(False), len(known)),
        "raters": _raters([each for each, _ in rows]),
        "flips": sum(v.flipped for _, v in known),
        "refused": sum("refused" in v for v in unjudged),
        "unreadable": sum("refused" not in v for v in unjudged),
        "unasked": sum(v is None for _, v in rows),
        "p": round(sign_test(decided.count(True), decided.count(False)).p, 6),
    }


def kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Cohen's kappa: agreement beyond what chance gives; None where chance alone gives all."""
    from sklearn.metrics import cohen_kappa_score

    if not first or len({*first, *second}) == 1:
        return None
    return round(float(cohen_kappa_score(first, second)), 4)


def _raters(rated: Sequence[Rated]) -> float | None:
    """Return how often a single rater agrees with the majority, where there are several."""
    several = [each for each in rated if len(each.ratings) > 1]
    same = sum(rating == each.majority for each in several for rating in each.ratings)
    return _share(same, sum(len(each.ratings) for each in several))


def _position(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Count which place was chosen, over both orders: without bias each is half of the choices."""
    choices = [choice for verdict in verdicts for choice in verdict]
    first, second = choices.count("first"), choices.count("second")
    test = sign_test(first, second)
    return {"first": first, "second": second, "ties": choices.count("tie"),
            "share": None if test.share is None else round(test.share, 4),
            "p": round(test.p, 6)}  # fmt: skip


def _length(matters: Sequence[Matter], verdicts: Sequence[Verdict | None]) -> dict[str, Any]:
    """Count how often the conversation with the longer system side won."""
    longer = shorter = 0
    for matter, verdict in zip(matters, verdicts, strict=True):
        sizes = [_size(matter.one), _size(matter.other)]
        if verdict is None or not verdict.result or sizes[0] == sizes[1]:
            continue
        if (sizes[0] > sizes[1]) == (verdict.result == 1):
            longer += 1
        else:
            shorter += 1
    test = sign_test(longer, shorter)
    return {"longer": longer, "shorter": shorter,
            "share": None if test.share is None else round(test.share, 4),
            "p": round(test.p, 6)}  # fmt: skip


def _size(talk: Sequence[Any]) -> int:
    return sum(len(words(said.text)) for said in talk if said.speaker == "system")


def _share(count: int, total: int) -> float | None:
    return round(count / total, 4) if total else None
