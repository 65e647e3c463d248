"""Wins, ties and flips per pair of systems and dimension, with exact tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph_cooper.graph.evaluation.interactive.rows import digest
from langgraph_cooper.graph.evaluation.judging.dimensions import dimensions_of
from langgraph_cooper.graph.evaluation.judging.judge import Judge, Matter, Verdict
from langgraph_cooper.graph.evaluation.judging.outcome import MEASURES, Measure, Outcome, Outcomes
from langgraph_cooper.graph.evaluation.judging.pairs import Pair, Paired, Systems
from langgraph_cooper.graph.evaluation.judging.significance import (
    Sign,
    sign_test,
    signs_by_unit,
)
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.evaluation.holm import holm


def matters_of(pairs: Sequence[Pair], task: TaskSpec) -> list[Matter]:
    """Return what is to be judged: every pair in every dimension of the task."""
    return [
        matter_of(pair, dimension, question)
        for pair in pairs
        for dimension, question in dimensions_of(task).items()
    ]


def matter_of(pair: Pair, dimension: str, question: str) -> Matter:
    """Return one comparison of a pair."""
    key = digest(pair.one.key, pair.other.key)
    return Matter(key, dimension, question, pair.one.history, pair.other.history)


def judged_report(found: Paired, judge: Judge, task: TaskSpec) -> dict[str, Any]:
    """Count verdicts and test them.

    Returns:
        `compared`: for each pair of systems, `pairs`, `left_out` (why -> number) and `dimensions`
        (see `_counted`), with `p_holm` corrected over all pairs and dimensions.
    """
    compared, tests = [], {}
    for systems in found.systems:
        own = [pair for pair in found.pairs if pair.systems == systems]
        rows: dict[str, dict[str, Any]] = {}
        for dimension, question in dimensions_of(task).items():
            verdicts = [judge.verdict(matter_of(pair, dimension, question)) for pair in own]
            rows[dimension], tests[systems, dimension] = _counted(own, verdicts)
        left_out = found.left_out.get(systems, {})
        compared.append(
            {"systems": list(systems), "pairs": len(own), "left_out": left_out, "dimensions": rows}
        )
    _correct(compared, tests, "dimensions")
    return {"task": task.name, "compared": compared, "tests": len(tests)}


def outcomes_compared(found: Paired, outcomes: Outcomes) -> list[dict[str, Any]]:
    """Compare systems by how their conversations ended.

    Returns:
        For each pair of systems, `pairs` and `measures` (see `_measured`), with `p_holm` corrected
        over all pairs of systems and measures.
    """
    compared, tests = [], {}
    for systems in found.systems:
        own = [pair for pair in found.pairs if pair.systems == systems]
        ends = [(pair.unit, outcomes.known(pair.one), outcomes.known(pair.other)) for pair in own]
        rows: dict[str, dict[str, Any]] = {}
        for name, measure in MEASURES.items():
            rows[name], tests[systems, name] = _measured(measure, ends)
        compared.append({"systems": list(systems), "pairs": len(own), "measures": rows})
    _correct(compared, tests, "measures")
    return compared


def _measured(
    measure: Measure, ends: Sequence[tuple[str, Outcome | None, Outcome | None]]
) -> tuple[dict[str, Any], Sign]:
    """Count one measure: `wins` are pairs in which the first system did better.

    `better` says whether more or less of it is better, `unknown` counts pairs without both values.
    """
    results = [(unit, measure.result(one, other)) for unit, one, other in ends]
    found = [result for _, result in results]
    counts = {"wins": 1, "losses": -1, "ties": 0, "unknown": None}
    told = {name: found.count(result) for name, result in counts.items()}
    tested, sign = _tested([(unit, result) for unit, result in results if result is not None])
    return {"better": measure.better, **told, **tested}, sign


def _counted(
    pairs: Sequence[Pair], verdicts: Sequence[Verdict | None]
) -> tuple[dict[str, Any], Sign]:
    """Count one dimension: the first system's wins and losses survived the swap.

    `ties` are all other judged pairs; `flips` those of them in which the same place won twice.
    `refused` and `unreadable` count pairs without a verdict, `unasked` those without an answer.
    """
    results, counts = [], dict.fromkeys(NAMES, 0)
    for pair, verdict in zip(pairs, verdicts, strict=True):
        result = verdict.result if verdict else None
        counts[_name(verdict)] += 1
        counts["flips"] += bool(verdict and verdict.flipped)
        if result is not None:
            results.append((pair.unit, result))
    tested, sign = _tested(results)
    return {**counts, **tested}, sign


def _tested(results: Sequence[tuple[str, int]]) -> tuple[dict[str, Any], Sign]:
    """Test the results of pairs, one role as one unit."""
    sign = sign_test(*signs_by_unit(results))
    told = {"roles_won": sign.wins, "roles_lost": sign.losses, "p": round(sign.p, 6)}
    share = None if sign.share is None else round(sign.share, 4)
    interval = None if sign.interval is None else [round(each, 4) for each in sign.interval]
    return {**told, "share": share, "interval": interval}, sign


NAMES = ("wins", "losses", "ties", "flips", "refused", "unreadable", "unasked")


def _name(verdict: Verdict | None) -> str:
    if verdict is None:
        return "unasked"
    if verdict.result is None:
        return "refused" if "refused" in verdict else "unreadable"
    return {1: "wins", -1: "losses", 0: "ties"}[verdict.result]


def _correct(
    compared: Sequence[dict[str, Any]], tests: dict[tuple[Systems, str], Sign], rows: str
) -> None:
    corrected = holm({key: sign.p for key, sign in tests.items()})
    for each in compared:
        for name, row in each[rows].items():
            row["p_holm"] = round(corrected[tuple(each["systems"]), name], 6)
