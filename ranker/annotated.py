"""Dialogues, and dialogues annotated with what the agents saw and proposed at every system turn.

The file form is JSONL, one dialogue a line:

    {"id": "esc-17",
     "utterances": [{"speaker": "user", "text": "...", "strategies": []},
                    {"speaker": "system", "text": "...", "strategies": ["Question"]}],
     "turns": [{"index": 1,
                "states": {"exploration": "...", "comforting": "", "action": ""},
                "candidates": [{"aspect": "exploration", "strategy": "Question", "topic": "..."}]}],
     "final_states": {"exploration": "...", "comforting": "...", "action": "..."}}

`turns[].index` is the position of the utterance that the real system said at that turn; the
utterances before it are the history. A file of labelled dialogues is the same without `turns` and
`final_states`. Utterances are merged: two in a row are never by the same speaker.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from langgraph_cooper.prompts.errors import CooperError

_log = logging.getLogger(__name__)

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


def read_annotated(path: str | Path) -> list[AnnotatedDialogue]:
    """Reads annotated dialogues; of those that stand there twice, the first.

    Raises:
        DataError: The file is missing, empty, or a line of it is malformed (names the line).
    """
    found = read_records(path, AnnotatedDialogue)
    dialogues = distinct(found, str(path))
    if len(dialogues) < len(found):
        _log.warning("%s: %d duplicated dialogues left out", path, len(found) - len(dialogues))
    if not any(dialogue.turns for dialogue in dialogues):
        raise DataError(
            f"{path} has no annotated turns: annotate the dialogues first, then pass that file"
        )
    return dialogues


def read_records(path: str | Path, kind: type[Record]) -> list[Record]:
    """Reads a JSONL file of dialogues as `kind`; two of one id say the same."""
    dialogues: list[Record] = []
    seen: dict[str, tuple[int, Record]] = {}
    for line, fields in read_json_lines(path):
        dialogue = check(kind, fields, f"{path}, line {line}")
        first, earlier = seen.setdefault(dialogue.id, (line, dialogue))
        if _said(earlier) != _said(dialogue):
            raise DataError(
                f"{path}, line {line}: the id {dialogue.id!r} is already another dialogue's, on "
                f"line {first}; give each dialogue its own"
            )
        dialogues.append(dialogue)
    if not dialogues:
        raise DataError(f"{path} holds no dialogues: one JSON object per line is expected")
    return dialogues


def distinct(dialogues: Iterable[Record], source: str) -> list[Record]:
    """The dialogues without those in which the same is said as in an earlier one.

    Raises:
        DataError: Two that differ have the same id.
    """
    first: dict[tuple[tuple[str, str], ...], Record] = {}
    for dialogue in dialogues:
        first.setdefault(_said(dialogue), dialogue)
    ids = Counter(dialogue.id for dialogue in first.values())
    if ids and (most := ids.most_common(1)[0])[1] > 1:
        raise DataError(f"{source}: {most[1]} different dialogues have the id {most[0]!r}")
    return list(first.values())


def _said(dialogue: Dialogue) -> tuple[tuple[str, str], ...]:
    return tuple((said.speaker, said.text) for said in dialogue.utterances)


def write_annotated(path: str | Path, dialogues: Iterable[Dialogue]) -> None:
    """Writes dialogues as JSONL, all or nothing: a full disk leaves the old file as it was."""
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.writelines(annotated_line(dialogue) for dialogue in dialogues)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def annotated_line(dialogue: Dialogue) -> str:
    """The dialogue as one line of JSON, with its line break; for appending as they are made."""
    return json.dumps(dialogue.model_dump(mode="json"), ensure_ascii=False) + "\n"


def read_json_lines(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a JSONL file, each with its line number from 1; blank lines are passed.

    Raises:
        DataError: The file cannot be read, or a line is not a JSON object.
    """
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        fields = parse_json(text, f"{path}, line {line}")
        if not isinstance(fields, dict):
            raise DataError(f"{path}, line {line}: a JSON object is expected there")
        yield line, fields


def parse_json(text: str, place: str) -> object:
    """What a JSON text says.

    Raises:
        DataError: It is not JSON, or beyond what Python reads; names the place.
    """
    try:
        parsed: object = json.loads(text)
    except json.JSONDecodeError as error:
        line = f", line {error.lineno}" if error.lineno > 1 else ""
        raise DataError(f"{place}{line}: not JSON ({error.msg})") from None
    except RecursionError:
        raise DataError(f"{place}: not a dialogue, nested too deep") from None
    except ValueError:  # Python reads no integer of thousands of digits
        raise DataError(f"{place}: a number there is too long to be read") from None
    return parsed


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        DataError: It is missing, unreadable or in another encoding.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8: save it so") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def check(kind: type[Record], fields: dict[str, Any], place: str) -> Record:
    """Validates one dialogue.

    Raises:
        DataError: Names the place and the first wrong field.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{place}: {where + ': ' if where else ''}{message}") from None
