"""Systems' replies at the same turns, scored against what was really said (paper, Table 1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from langgraph_cooper.graph.evaluation.in_parallel import in_parallel
from langgraph_cooper.graph.evaluation.speakers import Reply, Speaker
from langgraph_cooper.graph.evaluation.text_metrics import (
    PairedBootstrap,
    ScoredTexts,
    rounded,
    score_texts,
)
from langgraph_cooper.prompts import PASSIVE, TaskSpec
from langgraph_cooper.ranker.data.dialogue import DataError, Dialogue
from langgraph_cooper.ranker.data.jsonl import finished_lines, remove_unfinished_line
from langgraph_cooper.ranker.evaluation.report import GROUND_TRUTH
from langgraph_cooper.ranker.evaluation.rounds import (
    distance,
    promoted_by_round,
    shares_by_round,
    turns_per_round,
)

OPENING = 2
"""Utterances that count as the opening: greetings, which every system gets right."""

BEGINNING = b'{"key": "'
"""The beginning of every line in a file of kept replies."""


@dataclass(frozen=True)
class RealTurn:
    """A system turn of a data set: the dialogue, and the position of what was really said."""

    dialogue: Dialogue
    index: int

    @property
    def reference(self) -> str:
        """The utterance that was really said."""
        return self.dialogue.utterances[self.index].text


@dataclass(frozen=True)
class RealTurns:
    """The turns that systems reply to.

    Attributes:
        task: Their task.
        turns: [T] in the order of the data.
    """

    task: TaskSpec
    turns: Sequence[RealTurn]

    @classmethod
    def of(cls, dialogues: Sequence[Dialogue], task: TaskSpec) -> RealTurns:
        """Collect all system turns.

        Raises:
            DataError: There are none.
        """
        turns = [RealTurn(dialogue, i) for dialogue in dialogues for i in dialogue.system_turns]
        if not turns:
            raise DataError("the data has no system turn: there is nothing to reply to")
        return cls(task, turns)

    def first(self, limit: int | None) -> RealTurns:
        """Return the first turns."""
        return replace(self, turns=self.turns[:limit])

    def only(self, rows: Sequence[int]) -> RealTurns:
        """Return the turns at these places."""
        return replace(self, turns=[self.turns[row] for row in rows])

    def strategies(self, row: int) -> tuple[str, ...]:
        """The strategies of what was really said."""
        dialogue, index = self.turns[row].dialogue, self.turns[row].index
        return dialogue.utterances[index].strategies

    def neighbourhood(self, row: int) -> str:
        """What was really said and the two utterances before it, in one text."""
        return f"{self.before(row)} {self.turns[row].reference}"

    def before(self, row: int) -> str:
        """The two utterances before the turn, in one text."""
        dialogue, index = self.turns[row].dialogue, self.turns[row].index
        said = dialogue.utterances[max(0, index - 2) : index]
        return " ".join(utterance.text for utterance in said)


@dataclass(frozen=True)
class Replies:
    """A system's replies.

    Attributes:
        by_row: Place of a turn in the data -> the reply; a system may leave turns out.
    """

    by_row: Mapping[int, Reply]

    def of(self, turns: RealTurns) -> Replies:
        """Return the replies to the first turns, those of `turns`."""
        return Replies({row: r for row, r in self.by_row.items() if row < len(turns.turns)})

    def at(self, rows: Sequence[int]) -> list[Reply]:
        """Return the replies at these places."""
        return [self.by_row[row] for row in rows]


async def reply_to_all(
    speaker: Speaker,
    turns: RealTurns,
    kept: Path | None = None,
    *,
    at_once: int = 1,
    done: Callable[[int], None] = lambda _: None,
) -> Replies:
    """Let a system reply at every turn, on the real history.

    Args:
        speaker: The system.
        turns: The turns; those of one dialogue stand in order.
        kept: A JSONL file of the replies, by which a stopped run goes on. Dialogues in it are not
            asked for again. One of which it has a part begins anew where a system carries more
            than the words from turn to turn.
        at_once: Dialogues at a time: more than one where a server answers.
        done: Called with the number of turns just answered.

    Raises:
        DataError: `kept` holds something else, or cannot be written.
        ModelError: A language model failed; the replies until then are kept.
    """
    keys = [_key(speaker, turn) for turn in turns.turns]
    known = _read(kept) if kept else {}
    found: dict[int, Reply] = {}

    async def work(rows: Sequence[int]) -> None:
        if all(keys[row] in known for row in rows):
            found.update((row, known[keys[row]]) for row in rows)
            done(len(rows))
            return
        about = speaker.about
        talk = about(turns.turns[rows[0]].dialogue.id) if about else speaker.talk()
        for row in rows:
            dialogue, index = turns.turns[row].dialogue, turns.turns[row].index
            told = known.get(keys[row])
            if told is None or speaker.carries:
                said = await talk(dialogue.history(index))
                if kept and told is None:
                    _keep(kept, keys[row], turns.turns[row], said)
            # A kept reply is measured all the same: the file holds what the report is about.
            found[row] = said if told is None else told
            done(1)

    await in_parallel(_dialogues(turns), work, at_once)
    return Replies(found)


def generation_report(
    turns: RealTurns, replies: Mapping[str, Replies], *, samples: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    """Score all systems on the turns that every one of them has replied to.

    Args:
        turns: The turns.
        replies: System -> its replies; the first is compared with each of the others.
        samples: Resamples of the bootstrap, over dialogues.
        seed: Seed of the bootstrap.

    Returns:
        `turns`, `systems` and `without_openings` (system -> metric -> percentage), `p_values`
        (system -> metric -> p of its difference from the first system), and what explains them.

    Raises:
        DataError: No turn has a reply of every system.
    """
    shared = set.intersection(*(set(found.by_row) for found in replies.values()))
    rows = sorted(row for row in shared if row < len(turns.turns))
    if not rows:
        raise DataError("no turn has a reply of every system: raise --limit")
    measured = turns.only(rows)
    references = [turn.reference for turn in measured.turns]
    scored = {
        name: score_texts([found.by_row[row].text for row in rows], references)
        for name, found in replies.items()
    }
    later = np.array([turn.index >= OPENING for turn in measured.turns])
    return {
        "turns": len(rows),
        "systems": {name: rounded(one.scores()) for name, one in scored.items()},
        "without_openings": {name: rounded(one.scores(later)) for name, one in scored.items()},
        "p_values": _p_values(measured, scored, samples, seed),
        "replies": {name: rounded(one.shape()) for name, one in scored.items()},
        "left_out": len(turns.turns) - len(rows),
        "turns_without_openings": int(later.sum()),
        "task": turns.task.name,
        "bootstrap": {"samples": samples, "seed": seed, "over": "dialogues", "sides": 2},
        "aspects": _aspects(replies, rows),
        **_by_round(measured, {name: found.at(rows) for name, found in replies.items()}),
    }


def _p_values(
    measured: RealTurns, scored: Mapping[str, ScoredTexts], samples: int, seed: int
) -> dict[str, dict[str, float]]:
    first, *others = scored
    if not others:
        return {}
    numbers: dict[str, int] = {}
    groups = [numbers.setdefault(turn.dialogue.id, len(numbers)) for turn in measured.turns]
    bootstrap = PairedBootstrap(groups, samples=samples, seed=seed)
    return {name: rounded(bootstrap.p_values(scored[first], scored[name]), 6) for name in others}


def _aspects(replies: Mapping[str, Replies], rows: Sequence[int]) -> dict[str, dict[str, int]]:
    """System -> aspect that it puts first -> number of turns; for systems that name one."""
    counted: dict[str, dict[str, int]] = {}
    for name, found in replies.items():
        for row in rows:
            if aspect := found.by_row[row].aspect:
                counts = counted.setdefault(name, {})
                counts[aspect] = counts.get(aspect, 0) + 1
    return counted


class _Turn(NamedTuple):
    """A turn whose real utterance promotes aspects; where it stands among the measured ones."""

    row: int
    round: int
    promoted: frozenset[str]


def _by_round(turns: RealTurns, replies: Mapping[str, Sequence[Reply]]) -> dict[str, Any]:
    """Aspects over the rounds (paper, Figure 3), in the form of a ranking's report.

    Of the real utterances that promote an aspect, and of what systems put first at the same turns;
    a turn at which a system names none counts for the others alone. {} if no system names one in
    most turns.
    """
    aspects = [*turns.task.aspect_names, PASSIVE]
    known = [
        _Turn(row, turn.dialogue.round_of(turn.index), promoted)
        for row, turn in enumerate(turns.turns)
        if (promoted := turns.task.promoted_by(turns.strategies(row)))
    ]
    named = {name: [t for t in known if said[t.row].aspect] for name, said in replies.items()}
    shares = {
        name: shares_by_round(
            found, np.array([[replies[name][t.row].aspect == a for a in aspects] for t in found])
        )
        for name, found in named.items()
        if len(found) > len(known) / 2
    }
    if not shares:
        return {}
    weights, truth = turns_per_round(known), promoted_by_round(known, aspects)
    return {
        "distances": {name: round(distance(truth, of, weights), 4) for name, of in shares.items()},
        "by_round": {
            "aspects": aspects,
            "turns": weights.tolist(),
            "shares": {
                name: of.round(4).tolist() for name, of in {GROUND_TRUTH: truth, **shares}.items()
            },
        },
    }


def _dialogues(turns: RealTurns) -> list[list[int]]:
    """The places of each dialogue's turns."""
    rows: dict[str, list[int]] = {}
    for row, turn in enumerate(turns.turns):
        rows.setdefault(turn.dialogue.id, []).append(row)
    return list(rows.values())


def _key(speaker: Speaker, turn: RealTurn) -> str:
    """A hash of the system, of all that was said before the turn, and of its dialogue.

    Dialogues that begin alike have replies of their own: a system may draw another one each time.
    """
    said = turn.dialogue.history(turn.index)
    shown = json.dumps([speaker.identity, said, turn.dialogue.id, turn.index])
    return hashlib.sha256(shown.encode()).hexdigest()[:32]


def _keep(file: Path, key: str, turn: RealTurn, reply: Reply) -> None:
    line = {"key": key, "dialogue": turn.dialogue.id, "index": turn.index}
    line |= {"aspect": reply.aspect, "reply": reply.text}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(json.dumps(line) + "\n")
    except OSError as error:
        raise DataError(
            f"{file} cannot be written: {error.strerror}; earlier replies are kept"
        ) from None


def _read(file: Path) -> dict[str, Reply]:
    """Read kept replies, and remove an unfinished last line.

    Raises:
        DataError: The file holds something else, or cannot be opened.
    """
    try:
        lines = [json.loads(line) for _, line in finished_lines(file, BEGINNING)]
        found = {str(line["key"]): Reply(line["reply"], line["aspect"]) for line in lines}
        remove_unfinished_line(file)
    except OSError as error:
        raise DataError(f"{file} cannot be opened: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"{file} holds something else than kept replies: choose another --output"
        ) from None
    return found
