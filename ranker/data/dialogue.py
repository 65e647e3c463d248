"""The text of a dialogue as the ranker reads it: who said what, in order."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, NamedTuple, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from langgraph_cooper.prompts.errors import CooperError

RECENT = 3
"""How many of the last utterances rankers compare candidates with; the evidence's shape follows."""

LAST_ROUND = 15
"""Rounds from this one on count as one, unless a ranker was trained otherwise; the tail is thin."""


class Utterance(NamedTuple):
    """All that one side said before the other side spoke again."""

    speaker: Speaker
    """`user` is the seeker or persuadee, `system` the supporter or persuader."""
    text: str


def dialogue_round(history: Sequence[Utterance]) -> int:
    """The 1-based round in which the system's next utterance falls.

    Args:
        history: the utterances so far, oldest first.

    Returns:
        1 + the number of system utterances so far.
    """
    return 1 + sum(utterance.speaker == "system" for utterance in history)


def marked(utterance: Utterance) -> str:
    """The utterance with its role mark, such as `user: I lost my job`."""
    return f"{utterance.speaker}: {utterance.text.strip()}"


def encodable(text: str) -> str:
    """The text with a question mark for what UTF-8 cannot express.

    Undecodable bytes of a terminal's input arrive as lone surrogates, which tokenisers refuse.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


Speaker = Literal["user", "system"]


class DataError(CooperError):
    """A file of dialogues cannot be used; names the file, the line and what is wrong with it."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


def _writable(text: str) -> str:
    """Text that UTF-8 can write; JSON may bring half of a cut emoji."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{text[error.start]!a} is half of a character, perhaps of a cut emoji: remove it"
        ) from None
    return text


def _something(text: str) -> str:
    if not text.strip():
        raise ValueError("there is no text: leave the utterance out and merge its neighbours")
    return text


Text = Annotated[str, AfterValidator(_writable)]


class LabelledUtterance(_Record):
    """What one speaker said in one go, with the strategies of its parts in order.

    Attributes:
        speaker: "user" or "system".
        text: The merged text; never empty.
        strategies: The data set's strategies; empty where it is not annotated.
    """

    # A misspelt field would lose the labels.
    model_config = ConfigDict(frozen=True, extra="forbid")

    speaker: Speaker
    text: Annotated[Text, AfterValidator(_something)]
    strategies: tuple[Text, ...] = ()


class Dialogue(_Record):
    """One conversation.

    Attributes:
        id: Unique in its file.
        utterances: Merged: speakers take turns.
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

    def round_of(self, index: int) -> int:
        """The dialogue round of the utterance at `index`: 1 + system utterances before it."""
        return 1 + sum(said.speaker == "system" for said in self.utterances[:index])


class Candidate(_Record):
    """A topic candidate C_ij (paper, "Local Analysis") of one aspect, or of "passive"."""

    aspect: Text
    strategy: Text
    topic: Text


class AnnotatedTurn(_Record):
    """What the agents had to say before one system utterance.

    Attributes:
        index: Position of the utterance that the real system said; the history ends before it.
        states: State summary S_i of each aspect; empty text where nothing is known yet.
        candidates: The topic candidates of all aspects.
    """

    index: int
    states: dict[Text, Text]
    candidates: tuple[Candidate, ...]


class AnnotatedDialogue(Dialogue):
    """A conversation with its annotated turns and the state summaries at its end.

    Attributes:
        turns: In order of `index`.
        final_states: State summary of each aspect after the last utterance.
        made_by: Whose annotation it is: the model, or "offline", and a hash of the task. Empty
            where another program annotated.
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


def distinct(dialogues: Iterable[Record], source: str) -> list[Record]:
    """The dialogues without those in which the same is said as in an earlier one.

    Raises:
        DataError: Two that differ have the same id.
    """
    first: dict[tuple[tuple[str, str], ...], Record] = {}
    for dialogue in dialogues:
        first.setdefault(spoken(dialogue), dialogue)
    ids = Counter(dialogue.id for dialogue in first.values())
    if ids and (most := ids.most_common(1)[0])[1] > 1:
        raise DataError(f"{source}: {most[1]} different dialogues have the id {most[0]!r}")
    return list(first.values())


def spoken(dialogue: Dialogue) -> tuple[tuple[str, str], ...]:
    """Speaker and text of each utterance, whatever is annotated."""
    return tuple((said.speaker, said.text) for said in dialogue.utterances)


def fingerprint(dialogue: Dialogue) -> str:
    """A short hash of what was said, however it is annotated or named."""
    said = json.dumps([utterance.text for utterance in dialogue.utterances])
    return hashlib.sha256(said.encode()).hexdigest()[:12]
