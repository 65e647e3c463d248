"""What can be measured of conversations without a judge, per system and between systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from langgraph_cooper.graph.evaluation.interactive.rows import Conversation, counted_ends
from langgraph_cooper.graph.evaluation.judging.pairs import Paired, Systems
from langgraph_cooper.graph.evaluation.judging.significance import (
    ratio_interval,
    sign_test,
)
from langgraph_cooper.nodes.finetuned.rules.answering import SMALL_TALK, answers, question_of
from langgraph_cooper.nodes.finetuned.rules.repeating import repeats
from langgraph_cooper.nodes.finetuned.rules.selfhood import claims_a_life
from langgraph_cooper.nodes.finetuned.rules.situation import Situation
from langgraph_cooper.nodes.language.text import words
from langgraph_cooper.prompts import PASSIVE, TaskSpec
from langgraph_cooper.ranker.data.dialogue import LAST_ROUND
from langgraph_cooper.ranker.evaluation.aspect_prior import AspectPrior
from langgraph_cooper.ranker.evaluation.holm import holm
from langgraph_cooper.ranker.evaluation.rounds import distance

MEASURES = ("words", "rounds", "answered", "repeated", "self_disclosed", "guarded")
WORDLESS = ("words", "rounds", "guarded")
"""What is known of redacted conversations, too."""
ANSWERED = 0.7
"""From here on a reply counts as an answer to the user's direct question."""


def measures_of(task: TaskSpec, row: Conversation) -> dict[str, float]:
    """Measure a conversation. What the safety guard says in a crisis counts as `guarded` alone.

    Returns:
        `words` of a reply and `rounds`; shares of replies that are `repeated` (the system's own
        words or the user's), `self_disclosed` (claim a life that a program has not lived) or
        `guarded` (the safety guard took part; of systems with a guard); `answered`, the share of
        the user's direct questions, where there were some.
    """
    found: dict[str, list[float]] = {}
    history = row.history
    for place, said in enumerate(row.said):
        if said.speaker == "user":
            continue
        guard = said.why.get("guard") or {}
        if guard:
            found.setdefault("guarded", []).append(float(guard.get("tier", "none") != "none"))
        if guard.get("fired"):
            continue
        situation = Situation(task, history[:place], frozenset())
        for name, value in (
            ("words", len(words(said.text))),
            ("repeated", repeats(situation, said.text) is not None),
            ("self_disclosed", claims_a_life(situation, said.text) is not None),
        ):
            found.setdefault(name, []).append(float(value))
        if question_of(situation.last) and not SMALL_TALK.search(situation.last):
            answered = answers(situation, said.text) >= ANSWERED
            found.setdefault("answered", []).append(float(answered))
    means = {name: sum(values) / len(values) for name, values in found.items()}
    return {**means, "rounds": float(len(row.texts("user")))}


def measured_report(
    task: TaskSpec,
    rows: Sequence[Conversation],
    found: Paired | None,
    people: AspectPrior | None,
    measures: Sequence[str] = MEASURES,
) -> dict[str, Any]:
    """Measure systems and compare them.

    Args:
        task: The task.
        rows: All conversations; those that cannot be compared are counted and not measured.
        found: The pairs of systems; None: there is one system.
        people: P(aspect | round) of real dialogues.
        measures: Those of `MEASURES` to take.

    Returns:
        `systems` (counts of ends and means of `MEASURES`), `progress` at the end (shown and never
        counted: it is the pipeline's own opinion), `by_round` and `compared`.
    """
    whole = [row for row in rows if row.whole]
    each = {
        row.key: {name: v for name, v in measures_of(task, row).items() if name in measures}
        for row in whole
    }
    systems: dict[str, Any] = {}
    for name, ends in counted_ends(rows).items():
        own = [each[row.key] for row in whole if row.system == name]
        systems[name] = {
            "conversations": sum(ends.values()),
            "measured": len(own),
            "ended": dict(sorted(ends.items())),
            **_means(own),
        }
    return {
        "task": task.name,
        "systems": systems,
        "progress": {name: _progress(task, whole, name) for name in systems},
        "by_round": _by_round(task, whole, people),
        "compared": _compared(found, each) if found else [],
    }


def _means(own: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    found = {name: [each[name] for each in own if name in each] for name in MEASURES}
    return {name: round(sum(v) / len(v), 4) if v else None for name, v in found.items()}


def _progress(task: TaskSpec, rows: Sequence[Conversation], system: str) -> dict[str, Any]:
    """Return per aspect the mean progress of each round's replies, and at the end."""
    own = [row for row in rows if row.system == system]
    runs = [[said.why["progress"] for said in row.said if said.why.get("progress")] for row in own]
    runs = [run for run in runs if run]
    if not runs:
        return {}
    rounds = min(LAST_ROUND, max(len(run) for run in runs))
    found: dict[str, Any] = {}
    for aspect in task.aspect_names:
        by_round = [
            [run[place][aspect] for run in runs if place < len(run) and aspect in run[place]]
            for place in range(rounds)
        ]
        ends = [run[-1][aspect] for run in runs if aspect in run[-1]]
        means = [round(sum(v) / len(v), 4) if v else None for v in by_round]
        found[aspect] = {
            "by_round": means, "end": round(sum(ends) / len(ends), 4) if ends else None
        }  # fmt: skip
    return found


def _by_round(
    task: TaskSpec, rows: Sequence[Conversation], people: AspectPrior | None
) -> dict[str, Any]:
    """Return the aspects that systems took up first over the rounds, beside people's."""
    aspects = [*task.aspect_names, PASSIVE]
    real = None if people is None else _people(people, aspects)
    systems: dict[str, Any] = {}
    for name in dict.fromkeys(row.system for row in rows):
        counts = np.zeros((LAST_ROUND, len(aspects)))
        for row in rows:
            if row.system == name:
                _count(counts, row, aspects)
        turns = counts.sum(axis=1).astype(np.int64)
        if not turns.any():
            continue  # it names no aspect
        shares = counts / np.maximum(turns, 1)[:, None]
        told: dict[str, Any] = {"turns": turns.tolist(), "shares": np.round(shares, 4).tolist()}
        if real is not None:
            told["distance"] = round(distance(shares, real, turns), 4)
        systems[name] = told
    found: dict[str, Any] = {"aspects": aspects, "systems": systems}
    if real is not None:
        found["people"] = np.round(real, 4).tolist()
    return found


def _count(counts: npt.NDArray[np.float64], row: Conversation, aspects: Sequence[str]) -> None:
    place = 0
    for said in row.said:
        if said.speaker == "system":
            aspect = said.why.get("aspect")
            if aspect in aspects:
                counts[min(place, LAST_ROUND - 1), aspects.index(aspect)] += 1
            place += 1


def _people(people: AspectPrior, aspects: Sequence[str]) -> npt.NDArray[np.float64]:
    """[R, A] shares of the aspects of people's utterances; a round's row sums to 1.

    They are the prior's smoothed P(aspect | round), normalised: an utterance that promotes two
    aspects counts for each. `promoted_by_round`, the reference of a ranking's report, counts half
    for each and smooths nothing, so distances to the two are not comparable.
    """
    raw = np.array(
        [[people.probability(a, number) for a in aspects] for number in range(1, LAST_ROUND + 1)]
    )
    shares: npt.NDArray[np.float64] = raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-9)
    return shares


def _compared(found: Paired, each: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Compare systems on the same problems, one role as one unit."""
    compared: list[dict[str, Any]] = []
    tests: dict[tuple[Systems, str], float] = {}
    for systems in found.systems:
        own = [pair for pair in found.pairs if pair.systems == systems]
        measured: dict[str, Any] = {}
        for name in MEASURES:
            pairs = [
                (pair.unit, each[pair.one.key][name] - each[pair.other.key][name])
                for pair in own
                if name in each[pair.one.key] and name in each[pair.other.key]
            ]
            if pairs:
                measured[name] = _difference(pairs)
                tests[systems, name] = measured[name]["p"]
        left_out = found.left_out.get(systems, {})
        compared.append(
            {"systems": list(systems), "pairs": len(own), "left_out": left_out,
             "measures": measured}
        )  # fmt: skip
    corrected = holm(tests)
    for one in compared:
        for name, row in one["measures"].items():
            row["p_holm"] = round(corrected[tuple(one["systems"]), name], 6)
    return compared


def _difference(pairs: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Return the mean difference over roles, its t interval, and an exact sign test."""
    by_role: dict[str, list[float]] = {}
    for unit, value in pairs:
        by_role.setdefault(unit, []).append(value)
    means = np.array([sum(values) / len(values) for values in by_role.values()])
    interval = ratio_interval(means, np.ones(len(means)))
    rounded = np.round(means, 9)
    test = sign_test(int((rounded > 0).sum()), int((rounded < 0).sum()))
    return {
        "roles": len(means), "difference": round(float(means.mean()), 4),
        "interval": interval and [round(end, 4) for end in interval],
        "higher": test.wins, "lower": test.losses, "p": round(test.p, 6),
    }  # fmt: skip
