"""Holds many conversations, several at a time, into a file that a stopped run goes on with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from langgraph_cooper.graph.evaluation.in_parallel import in_parallel
from langgraph_cooper.graph.evaluation.interactive.hold import Planned, hold
from langgraph_cooper.graph.evaluation.interactive.rows import (
    CONVERSATIONS,
    Conversation,
    counted_ends,
    digest,
)
from langgraph_cooper.graph.evaluation.interactive.systems import System
from langgraph_cooper.graph.evaluation.interactive.users import MANNERS, SameStart, User
from langgraph_cooper.graph.evaluation.kept import KeptRows
from langgraph_cooper.nodes.finetuned.users import Manner
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.prompts.task import shared_prompt
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.roles import Role

TOKENS_OF_A_CALL = 600
"""Tokens of a call's prompt in the middle of a conversation, about."""


class Cost(NamedTuple):
    """What is still to be done, at most: conversations may end before the limit of rounds."""

    conversations: int
    turns: int
    calls: int

    def sentence(self, done: int) -> str:
        """Return it in one sentence."""
        asked = (
            f"{self.calls:,} calls of chat models (about {self.calls * TOKENS_OF_A_CALL:,} tokens)"
        )
        return (
            f"{self.conversations:,} conversations to hold, {done:,} are there: at most "
            f"{self.turns:,} turns and {asked if self.calls else 'no call of a chat model'}"
        )


@dataclass(frozen=True)
class Interactive:
    """A run.

    Attributes:
        task: The task.
        roles: Whom the user plays.
        manners: How; each role is played in each of them.
        systems: Who talks with the user.
        user: The simulated user.
        rounds: The user's utterances in a conversation, at most.
        seed: Of everything random.
        limits: A turn's limits, as plain values.
        models: How the record names the systems' models.
    """

    task: TaskSpec
    roles: Sequence[Role]
    manners: Sequence[Manner]
    systems: Sequence[System]
    user: User
    rounds: int
    seed: int
    limits: dict[str, Any]
    models: dict[str, Any]

    def settings(self) -> dict[str, Any]:
        """Return what all conversations of a file have in common, as plain values."""
        return {
            "task": self.task.name,
            "task_sha256": digest(self.task.model_dump(mode="json")),
            "made_with": _made_with(),
            "user": self.user.identity,
            "rounds": self.rounds,
            "seed": self.seed,
            "limits": self.limits,
        }

    def plan(self) -> list[Planned]:
        """Return all conversations: those about one problem stand together."""
        made_from = digest(self.settings())
        return [
            Planned(role, manner, system, self.seed, self.rounds, made_from)
            for role in self.roles
            for manner in self.manners
            for system in self.systems
        ]

    def cost(self, waiting: Sequence[Planned]) -> Cost:
        """Estimate what conversations take; where the system opens, it has a turn more."""
        each_turns = self.rounds + (self.task.opens == "system")
        turns = len(waiting) * each_turns
        calls = sum(
            each_turns * each.system.calls + self.rounds * self.user.calls for each in waiting
        )
        return Cost(len(waiting), turns, calls)


def _made_with() -> str:
    """Return a hash of what users and systems are told besides the task."""
    prompts = [shared_prompt(name) for name in ("user", "plain", "cot", "mixinit")]
    return digest(prompts, dict(MANNERS))


class Held:
    """The file of a run.

    Args:
        run: The run.
        file: Its file; what is there and whole is not held again.

    Attributes:
        waiting: What is still to be held.
        again: Number of conversations that a fault had ended, and that are held again.

    Raises:
        DataError: The file holds something else or conversations of other settings.
    """

    def __init__(self, run: Interactive, file: Path) -> None:
        self._run = run
        self._plan = run.plan()
        self._kept = KeptRows(file, CONVERSATIONS, run.settings())
        rows = [Conversation.model_validate(row) for row in self._kept.rows.values()]
        self._check(rows)
        planned = {each.key for each in self._plan}
        faulty = {row.key for row in rows if row.ended.by == "fault"} & planned
        self.again = len(faulty)
        whole = {row.key for row in rows} - faulty
        self.waiting = [each for each in self._plan if each.key not in whole]
        self._faulty = faulty
        self._user = SameStart(run.user, rows)

    async def hold(self, *, at_once: int = 2, done: Callable[[int], None] = lambda _: None) -> None:
        """Hold what is waiting.

        Args:
            at_once: Conversations at a time.
            done: Called with the number of conversations just ended.

        Raises:
            ModelError: A person must mend something; what was held until then is kept.
            DataError: The file cannot be written, or a program cannot be run.
            VoiceError: A trained user cannot be loaded.
        """
        with self._kept.writing():
            await asyncio.to_thread(self._user.prepare)
            self._kept.plan(each.key for each in self._plan)
            if self._faulty:
                self._kept.keep([key for key in self._kept.rows if key not in self._faulty])

            async def work(planned: Planned) -> None:
                await self._hold(planned)
                done(1)

            await in_parallel(self.waiting, work, at_once)
            # In the order of the plan: the same run then writes the same file.
            self._kept.order([each.key for each in self._plan])

    async def _hold(self, planned: Planned) -> None:
        held = await hold(planned, self._user, self._run.task)
        row = held.model_dump(mode="json", exclude_defaults=True)
        model = self._run.models.get(held.system)
        if held.record or model:
            row["record"] = {**held.record, "model": model}
        self._kept.add(row)

    def rows(self) -> list[Conversation]:
        """Return the run's conversations that are there."""
        planned = {each.key for each in self._plan}
        found = [Conversation.model_validate(row) for row in self._kept.rows.values()]
        return [row for row in found if row.key in planned]

    def _check(self, rows: Sequence[Conversation]) -> None:
        identities = {system.name: system.identity for system in self._run.systems}
        for row in rows:
            if identities.get(row.system, row.identity) != row.identity:
                raise DataError(
                    f"the file holds conversations of another system {row.system!r} "
                    f"({row.identity!r} there): write NAME={row.system} under a new name, or name "
                    "another --output"
                )


def summary(rows: Sequence[Conversation], planned: int) -> dict[str, Any]:
    """Count a run's conversations: how they ended, and how many can be compared.

    Returns:
        `planned` and `held`; `systems`; `faults`: each kind with the sentence of the first one.
    """
    systems: dict[str, dict[str, Any]] = {}
    for name, ends in counted_ends(rows).items():
        own = [row for row in rows if row.system == name]
        systems[name] = {
            "conversations": len(own),
            "whole": sum(row.whole for row in own),
            "rounds": round(sum(len(row.texts("user")) for row in own) / len(own), 2),
            "ended": dict(sorted(ends.items())),
        }
    faults: dict[str, str] = {}
    for row in rows:
        if row.ended.by == "fault":
            faults.setdefault(row.ended.how, row.ended.told)
    return {"planned": planned, "held": len(rows), "systems": systems, "faults": faults}
