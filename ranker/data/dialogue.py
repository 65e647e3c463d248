"""Dialogues as records: utterances, dialogues with labels, and dialogues with an annotation."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from langgraph_cooper.prompts.errors import CooperError, first_fault

RECENT = 3
"""Number of last utterances that candidates are compared with; fixes the evidence's shape."""

LAST_ROUND = 15
"""Rounds from this one on count as one: few dialogues are longer. Checkpoints may differ."""

FIRST = 30
"""Number of a conversation's first letters that tell it from another one of the same id.

With more of them conversations pass for different that are in both files of Persuasion for Good.
"""

Speaker = Literal["user", "system"]
"""`user` is the seeker or persuadee, `system` the supporter or persuader."""


class DataError(CooperError):
    """A file of dialogues is unusable; the message names the file, the line and the fault."""


class Utterance(NamedTuple):
    """All that one speaker said before the other spoke again."""

    speaker: Speaker
    text: str


def dialogue_round(history: Sequence[Utterance]) -> int:
    """The 1-based round of the system's next utterance: 1 + system utterances so far.

    Args:
        history: The utterances so far, oldest first.
    """
    return 1 + sum(utterance.speaker == "system" for utterance in history)


def marked(utterance: Utterance) -> str:
    """The utterance with its role mark, such as `user: I lost my job`."""
    return f"{utterance.speaker}: {utterance.text.strip()}"


def encodable(text: str) -> str:
    """The text with a question mark for each character that UTF-8 cannot express.

    Undecodable bytes of a terminal's input arrive as lone surrogates, which tokenisers refuse.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def _check_writable(text: str) -> str:
    """Refuse text that UTF-8 cannot express; JSON may hold half of a cut emoji."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{text[error.start]!a} is half of a character, perhaps of a cut emoji: remove it"
        ) from None
    return text


def _check_not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("there is no text: leave the utterance out and merge its neighbours")
    return text


Text = Annotated[str, AfterValidator(_check_writable)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class LabelledUtterance(_Record):
    """A merged utterance with the strategies of its parts.

    Attributes:
        speaker: "user" or "system".
        text: The merged text; never blank.
        strategies: The data set's strategies in order; empty if the data set has none.
    """

    # A misspelt field would lose the labels.
    model_config = ConfigDict(frozen=True, extra="forbid")

    speaker: Speaker
    text: Annotated[Text, AfterValidator(_check_not_blank)]
    strategies: tuple[Text, ...] = ()


class Dialogue(_Record):
    """A conversation.

    Attributes:
        id: Unique in its file.
        utterances: Merged: the speakers take turns.
    """

    id: Text
    utterances: tuple[LabelledUtterance, ...]

    @model_validator(mode="after")
    def _alternates(self) -> Self:
        for index in range(1, len(self.utterances)):
            if self.utterances[index].speaker == self.utterances[index - 1].speaker:
                raise ValueError(
                    f"utterances {index - 1} and {index} are both by "
                    f"{self.utterances[index].speaker!r}; merge consecutive turns of one speaker"
                )
        return self

    @property
    def system_turns(self) -> tuple[int, ...]:
        """Positions of the system's utterances."""
        return tuple(i for i, said in enumerate(self.utterances) if said.speaker == "system")

    def history(self, before: int | None = None) -> list[Utterance]:
        """Speaker and text of the utterances before a position, or of all utterances."""
        return [Utterance(said.speaker, said.text) for said in self.utterances[:before]]

    def round_of(self, index: int) -> int:
        """The 1-based round of the utterance at `index`: 1 + system utterances before it."""
        return dialogue_round(self.history(index))


class Candidate(_Record):
    """A topic candidate C_ij (paper, "Local Analysis") of an aspect, or of "passive"."""

    aspect: Text
    strategy: Text
    topic: Text


class AnnotatedTurn(_Record):
    """The agents' output before one system utterance.

    Attributes:
        index: Position of the system utterance; the history ends before it.
        states: State summary S_i of each aspect; an empty text where nothing is known yet.
        candidates: The topic candidates of all aspects.
    """

    index: int
    states: dict[Text, Text]
    candidates: tuple[Candidate, ...]


class AnnotatedDialogue(Dialogue):
    """A conversation with its annotated turns.

    Attributes:
        turns: In order of `index`.
        final_states: State summary of each aspect after the last utterance.
        made_by: The annotator: a model's name or "offline", and a hash of the task. Empty if
            another program annotated.
    """

    turns: tuple[AnnotatedTurn, ...] = ()
    final_states: dict[Text, Text] = {}
    made_by: Text = ""

    @model_validator(mode="after")
    def _turns_fit(self) -> Self:
        twice = [i for i, count in Counter(t.index for t in self.turns).items() if count > 1]
        if twice:
            raise ValueError(f"turn {twice[0]} is annotated more than once")
        for turn in self.turns:
            if not 0 <= turn.index < len(self.utterances):
                raise ValueError(f"turn {turn.index}: the dialogue has no such utterance")
            if self.utterances[turn.index].speaker != "system":
                raise ValueError(f"turn {turn.index}: that utterance is the user's")
        return self


Record = TypeVar("Record", bound=Dialogue)


def validated(kind: type[Record], fields: Mapping[str, Any], place: str) -> Record:
    """Build a dialogue from its fields.

    Raises:
        DataError: A field is wrong; names the place and the first such field.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise DataError(f"{place}: {first_fault(error)}") from None


def distinct(dialogues: Iterable[Record], source: str) -> list[Record]:
    """Drop dialogues with the same utterances as an earlier one.

    Raises:
        DataError: Different dialogues have the same id.
    """
    first: dict[tuple[Utterance, ...], Record] = {}
    for dialogue in dialogues:
        first.setdefault(tuple(dialogue.history()), dialogue)
    ids = Counter(dialogue.id for dialogue in first.values())
    if ids and (most := ids.most_common(1)[0])[1] > 1:
        raise DataError(f"{source}: {most[1]} different dialogues have the id {most[0]!r}")
    return list(first.values())


def fingerprint(dialogue: Dialogue) -> str:
    """A short hash of the utterances' texts; ids, labels and annotation do not enter."""
    texts = json.dumps([utterance.text for utterance in dialogue.utterances])
    return hashlib.sha256(texts.encode()).hexdigest()[:12]


def known_by(dialogue: Dialogue) -> frozenset[str]:
    """Return the marks of a conversation: two that share one are the same.

    They have the same words, or the same id and first letters: the two files of Persuasion for Good
    cut sentences differently and correct some words. The id alone does not count, as many files
    number their dialogues. A long greeting ("Hello", "Hello, how are you doing today?") may fill
    the first letters: two files that number their dialogues may then share a mark by chance, and
    to leave out one too many is the safer error. One without utterances has no mark.
    """
    if not dialogue.utterances:
        return frozenset()
    texts = "".join(utterance.text for utterance in dialogue.utterances)
    first = re.sub(r"\W+", "", texts.casefold())[:FIRST]
    return frozenset((fingerprint(dialogue), f"{dialogue.id}: {first}"))
