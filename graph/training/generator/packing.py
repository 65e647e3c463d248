"""A conversation as one trunk with a branch per turn, so that its history is computed once.

A branch holds the states, the topics and the reply of one turn. It sees the trunk up to its turn
and itself, under the positions that it has in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from langgraph_cooper.nodes.finetuned.format import Format, Given, TopicLine
from langgraph_cooper.ranker.data.dialogue import Utterance


class LearnedTurn(BaseModel):
    """A system turn to learn from.

    Attributes:
        index: Position of the system's utterance.
        states: State summary of each aspect before it.
        topics: The topics that are shown, as (strategy, topic), best first.
    """

    model_config = ConfigDict(frozen=True)

    index: int
    states: dict[str, str]
    topics: tuple[TopicLine, ...]


class LearnedDialogue(BaseModel):
    """A conversation with the turns to learn from."""

    model_config = ConfigDict(frozen=True)

    utterances: tuple[Utterance, ...]
    turns: tuple[LearnedTurn, ...]

    def given(self, turn: LearnedTurn) -> Given:
        """Return what a turn's reply depends on."""
        return Given(self.utterances[: turn.index], turn.states, turn.topics)


@dataclass(frozen=True)
class Branch:
    """One turn of a pack.

    Attributes:
        sees: Number of the trunk's tokens that it sees, the first ones.
        guidance: Ids of states and topics, up to the mark after which the reply begins.
        reply: Ids of the reply, with its end.
    """

    sees: int
    guidance: list[int]
    reply: list[int]


@dataclass(frozen=True)
class Pack:
    """A trunk with its branches.

    Attributes:
        trunk: Ids of the history.
        branches: Its turns.
        begins: Ids before a seq2seq base's source.
        ends: Ids after it.
    """

    trunk: list[int]
    branches: list[Branch]
    begins: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        """Number of tokens that are computed."""
        return len(self.trunk) + sum(len(b.guidance) + len(b.reply) for b in self.branches)


def packs_of(dialogue: LearnedDialogue, form: Format) -> list[Pack]:
    """Pack a conversation: one pack for each place at which the window of the history begins."""
    rendered = form.history(dialogue.utterances)
    starts = form.starts([len(ids) for ids in rendered])
    by_start: dict[int, list[LearnedTurn]] = {}
    for turn in dialogue.turns:
        by_start.setdefault(starts[turn.index], []).append(turn)
    packs = []
    for start, turns in sorted(by_start.items()):
        last = max(turn.index for turn in turns)
        trunk = [token for ids in rendered[start:last] for token in ids]
        branches = [
            Branch(
                sum(len(ids) for ids in rendered[start : turn.index]),
                form.guidance(turn.states, turn.topics),
                form.reply(dialogue.utterances[turn.index].text),
            )
            for turn in turns
        ]
        packs.append(Pack(trunk, branches, *form.around))
    return packs


def alike(branches: Sequence[Branch], most: int = 4) -> list[list[Branch]]:
    """Group branches of similar length, for little padding."""
    ordered = sorted(branches, key=lambda branch: len(branch.guidance) + len(branch.reply))
    groups = -(-len(ordered) // most)
    size = -(-len(ordered) // groups) if groups else 1
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
