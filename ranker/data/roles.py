"""Roles of simulated users: a real dialogue's problem, or one that a person wrote.

A file of roles is JSONL, a role a line:

    {"id": "anna", "situation": "I lost my job and have not told my wife.",
     "problem": "job crisis", "emotion": "anxiety"}

Files of dialogues hold roles, too. ESConv's rows bring `situation`, `problem_type`, `emotion_type`
and the survey's scores; for other dialogues the trackers' final states stand in for the situation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

from langgraph_cooper.prompts.errors import first_fault
from langgraph_cooper.prompts.task import TaskSpec
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, DataError, Dialogue, Text
from langgraph_cooper.ranker.data.jsonl import read_json_lines, read_json_list, read_text
from langgraph_cooper.ranker.data.p4g import read_p4g_reactions
from langgraph_cooper.ranker.data.reading import detect, load_dialogues

LONGEST = 4_000
"""Characters of a role's field."""

Field = Annotated[Text, StringConstraints(strip_whitespace=True, max_length=LONGEST)]
Describe = Callable[[Sequence[Dialogue]], Mapping[str, str]]
"""Dialogues without a situation -> their situation by id, such as the trackers' final states."""


class Role(BaseModel):
    """A person whom a simulated user plays.

    Attributes:
        id: Unique in its file.
        situation: What is the matter, best in the person's own words.
        problem: The kind of problem.
        emotion: What the person feels.
        opening: The first words, where they shall be the same in every conversation.
        scores: ESConv's survey: `initial_emotion_intensity`, `final_emotion_intensity`, `empathy`
            and `relevance`, each 1 to 5.
        reactions: Number of the person's sentences under each of P4G's `ee_label_1`.
    """

    # A misspelt field would lose what it says.
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    situation: Field = ""
    problem: Field = ""
    emotion: Field = ""
    opening: Field = ""
    scores: dict[Text, float] = {}
    reactions: dict[Text, int] = {}

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.situation or self.problem):
            raise ValueError('a role needs a "situation" or a "problem"')
        return self

    @property
    def text(self) -> str:
        """The role in one text: problem, emotion, situation."""
        about = ", ".join(part for part in (self.problem, self.emotion) if part)
        return ". ".join(part.rstrip(".") for part in (about, self.situation) if part)


def read_roles(path: str | Path, task: TaskSpec, describe: Describe | None = None) -> list[Role]:
    """Read the roles of a file of roles or of dialogues.

    Args:
        path: The file.
        task: The task of the dialogues.
        describe: Describes dialogues that have no situation.

    Raises:
        DataError: The file cannot be read or holds no role; a line is malformed; or dialogues have
            no situation and nothing describes them.
    """
    path = Path(path)
    if _holds_roles(path):
        return _distinct(path, [_role(fields, place) for place, fields in _lines(path)])
    form = detect(path)
    if form.startswith("ESConv"):
        return _described(path, _esconv(path, form, load_dialogues(path, task)), describe)
    reactions = read_p4g_reactions(path) if form == "P4G annotated sheet" else {}
    found: list[tuple[Dialogue, dict[str, Any]]] = []
    for dialogue in load_dialogues(path, task):
        counted = {"id": dialogue.id, "reactions": reactions.get(dialogue.id, {})}
        found.append((dialogue, counted | _states(dialogue)))
    return _described(path, found, describe)


def _holds_roles(path: Path) -> bool:
    if path.suffix.lower() in (".csv", ".xlsx"):
        return False
    text = read_text(path).lstrip()
    if not text:
        raise DataError(f"{path} holds no roles: one JSON object a line is expected")
    if text.startswith("["):
        return False
    _, first = next(read_json_lines(path))
    return not {"dialog", "utterances"} & set(first)


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((f"{path}, line {line}", fields) for line, fields in read_json_lines(path))


def _role(fields: Mapping[str, Any], place: str) -> Role:
    try:
        return Role.model_validate(fields)
    except ValidationError as error:
        raise DataError(
            f"{place} is no role ({first_fault(error)}): see docs/interactive.md"
        ) from None


def _distinct(path: Path, roles: list[Role]) -> list[Role]:
    seen: set[str] = set()
    for role in roles:
        if role.id in seen:
            raise DataError(f"{path}: two roles have the id {role.id!r}; give each its own")
        seen.add(role.id)
    return roles


def _states(dialogue: Dialogue) -> dict[str, str]:
    """Return the trackers' final states as a situation, where a dialogue has them."""
    if not isinstance(dialogue, AnnotatedDialogue):
        return {}
    texts = dict.fromkeys(text.strip() for text in dialogue.final_states.values() if text.strip())
    return {"situation": " ".join(texts)[:LONGEST]}


def _esconv(
    path: Path, form: str, dialogues: Sequence[Dialogue]
) -> list[tuple[Dialogue, dict[str, Any]]]:
    """Pair ESConv's dialogues with the roles in their rows."""
    if form == "ESConv lines":
        rows = {f"{path.stem}-{line}": fields for line, fields in read_json_lines(path)}
    else:
        listed = enumerate(read_json_list(path), start=1)
        rows = {f"{path.stem}-{number}": fields for number, fields in listed}
    return [(each, {"id": each.id} | _of_row(rows[each.id])) for each in dialogues]


def _of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    named = {"situation": "situation", "problem": "problem_type", "emotion": "emotion_type"}
    texts = {key: str(row.get(name) or "")[:LONGEST] for key, name in named.items()}
    return {**texts, "scores": _scores(row.get("survey_score"))}


def _scores(survey: object) -> dict[str, float]:
    """Read the seeker's part of the survey; what is no number is left out."""
    seeker = survey.get("seeker") if isinstance(survey, Mapping) else None
    found = {}
    for name, value in (seeker if isinstance(seeker, Mapping) else {}).items():
        try:
            found[str(name)] = float(value)
        except (TypeError, ValueError):
            continue
    return found


def _described(
    path: Path, found: Sequence[tuple[Dialogue, dict[str, Any]]], describe: Describe | None
) -> list[Role]:
    bare = [each for each, fields in found if not _says(fields)]
    described: Mapping[str, str] = {}
    if bare:
        if describe is None:
            raise DataError(
                f"{path}: {len(bare):,} dialogues have no situation, such as {bare[0].id!r}: "
                "annotate them first ('cooper annotate'), or write a file of roles"
            )
        described = describe(bare)
    roles = []
    for dialogue, fields in found:
        if not _says(fields):
            fields["situation"] = described.get(dialogue.id, "")[:LONGEST]
        if _says(fields):  # trackers may have found nothing: such a person cannot be played
            roles.append(_role(fields, f"{path}, dialogue {dialogue.id}"))
    if not roles:
        raise DataError(f"{path} holds no roles: none of its dialogues says what is the matter")
    return _distinct(path, roles)


def _says(fields: Mapping[str, Any]) -> bool:
    return bool(str(fields.get("situation", "")).strip() or str(fields.get("problem", "")).strip())
