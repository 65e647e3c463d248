"""The course of a crisis in a conversation: what was found, asked, answered and settled.

Clinical practice is to ask openly about what is not certain, to believe a clear no, and to ask no
more than is bearable. The course is computed from the messages alone: a graph inside another one
has no other memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol, get_args

from langgraph_cooper.nodes.crisis.answers import answer_of, says_safe
from langgraph_cooper.nodes.crisis.phrases import denies
from langgraph_cooper.prompts import CrisisKind

Tier = Literal["none", "concern", "certain"]
"""What is known: no crisis; perhaps one, so that the system asks; one, so that help is named."""
TIERS: tuple[Tier, ...] = get_args(Tier)

EARLIER = 6  # messages of the user's that are read before one
MOST_QUESTIONS = 2  # about one concern
QUIET_TURNS = 3  # after a clear no, or after the last question, nothing is asked about its kind
FAINT_TURNS = 12  # ... and nothing about a faint concern of any kind
HINTED_TURNS = 3  # a patient guard asks about a faint concern if another hint comes within these
# What a denial denies: "I'm not suicidal" says nothing of somebody else, nor of a violent partner.
OF_ONESELF: tuple[CrisisKind, ...] = ("suicide", "self_harm")


class Finding(NamedTuple):
    """What one message shows.

    Attributes:
        tier: What is known.
        kind: The kind of crisis.
        faint: Whether a concern is nearer to nothing than to a certain crisis.
    """

    tier: Tier = "none"
    kind: CrisisKind | None = None
    faint: bool = False


class ToRead(NamedTuple):
    """A message of the user's, and what the user typed before it."""

    text: str
    before: tuple[str, ...] = ()

    @classmethod
    def after(cls, said: Sequence[str], text: str) -> ToRead:
        """Return a message after others, of which the last few are read."""
        return cls(text, tuple(said[-EARLIER:]))

    @property
    def digest(self) -> str:
        """What stands for it: people's words are not kept."""
        words = json.dumps([self.text, *self.before])  # escapes lone surrogates
        return hashlib.sha256(words.encode()).hexdigest()


class Reader(Protocol):
    """Finds what one message shows."""

    def __call__(self, text: str, said: Sequence[str] = ()) -> Finding:
        """Return what it shows.

        Args:
            text: The message.
            said: What the user said before it.
        """


@dataclass(frozen=True)
class Course:
    """The state of a conversation after one of the user's turns.

    Attributes:
        tier: What is known.
        kind: The kind of crisis, also of one that is settled.
        asked: Number of times that the present concern was asked about.
        given: Number of help texts that were given in the present crisis.
        quiet: Number of the user's next turns in which no faint concern is asked about; in the
            first `QUIET_TURNS` of them none of this kind.
        faint: Whether the present concern is faint. It is asked about once.
        hinted: Number of the user's next turns in which a patient guard asks about a faint concern,
            since it saw one before.
    """

    tier: Tier = "none"
    kind: CrisisKind | None = None
    asked: int = 0
    given: int = 0
    quiet: int = 0
    faint: bool = False
    hinted: int = 0

    @property
    def lifted(self) -> Course:
        """The course after a reply that named no help: the crisis had been settled before."""
        return Course("none", self.kind) if self.tier == "certain" and self.given else self

    def helped(self, kind: CrisisKind) -> Course:
        """Return the course after a help text."""
        given = self.given + 1 if self.tier == "certain" and kind == self.kind else 1
        return Course("certain", kind, given=given)

    def after(
        self,
        finding: Finding,
        said: str,
        question: CrisisKind | None,
        *,
        strict: bool,
        patient: bool = False,
    ) -> Course:
        """Return the course after the user's next turn.

        Args:
            finding: What the turn shows.
            said: Its words.
            question: The kind of crisis that the system asked about just before, if it did.
            strict: Whether only a person can lift a certain crisis.
            patient: Whether a faint concern is asked about only after another hint.
        """
        if finding.tier == "certain":
            again = self.tier == "certain" and finding.kind == self.kind
            return self if again else Course("certain", finding.kind)
        if self.tier == "certain":
            may_end = self.given and not strict and finding.tier == "none"
            settled = may_end and says_safe(said, self.kind or "suicide")
            # The time after a crisis is the riskiest: a new hint is asked about at once.
            return Course("none", self.kind) if settled else self
        if question:
            return self._answered(question, finding, said)
        if self.tier == "concern":  # the question did not reach the user
            if finding.tier == "none" and self.kind in OF_ONESELF and denies(said):
                return Course("none", self.kind, quiet=FAINT_TURNS)
            return replace(self, faint=False) if _is_plain(finding) else self
        quiet, hinted = max(0, self.quiet - 1), max(0, self.hinted - 1)
        if finding.tier == "concern" and not self._is_quiet(finding):
            # Once a crisis was feared, no hint waits for a second one.
            if patient and finding.faint and not self.hinted and not self.kind:
                return replace(self, quiet=quiet, hinted=HINTED_TURNS)
            return Course("concern", finding.kind, faint=finding.faint)
        return replace(self, quiet=quiet, hinted=hinted)

    def _is_quiet(self, finding: Finding) -> bool:
        if finding.faint:
            return self.quiet > 0
        return self.quiet > FAINT_TURNS - QUIET_TURNS and finding.kind == self.kind

    def _answered(self, question: CrisisKind, finding: Finding, said: str) -> Course:
        answer = answer_of(said)
        if answer == "no" and finding.tier == "concern":
            answer = "unclear"  # "no, I only want it to stop"
        if answer == "yes":
            return Course("certain", question)
        asked = self.asked + 1
        once = self.faint and finding.tier == "none"
        if answer == "no" or once or asked >= MOST_QUESTIONS:
            return Course("none", self.kind or question, quiet=FAINT_TURNS)
        return Course("concern", question, asked=asked)


def _is_plain(finding: Finding) -> bool:
    return finding.tier == "concern" and not finding.faint
