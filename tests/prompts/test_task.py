"""A task checks itself: every rule, and that the message names the file and the field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from langgraph_cooper.prompts import PASSIVE, GuardSettings, TaskError, TaskSpec, fill, load_task

EXAMPLE = Path(__file__).parents[2] / "examples" / "negotiation.toml"
Fields = dict[str, Any]
Spoil = Callable[[Fields], object]


def written(fields: Fields, file: Path) -> Path:
    """The fields as a task file: TOML's inline tables are JSON but for the colons."""
    lines = [f"{key} = {_toml(value)}" for key, value in fields.items()]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def first_topic(fields: Fields) -> Fields:
    topic: Fields = fields["aspects"][0]["topics"][0]
    return topic


def test_the_small_task_is_sound(fields: Fields, tmp_path: Path) -> None:
    task = load_task(written(fields, tmp_path / "tea.toml"))
    assert task.aspect_names == ("welcome", "cake")
    assert (task.m, task.k, task.opens, task.reply_words) == (4, 3, "user", 40)
    assert task.aspect("welcome").topics[0].say == ("Would you like tea?",)


SPOILT: list[tuple[str, Spoil, str, str]] = [
    (
        "no place for the summaries",
        lambda f: f["prompts"].update(earlier="The beginning is left out."),
        "prompts.earlier",
        "{summaries}",
    ),
    (
        "unknown strategy withheld",
        lambda f: f["aspects"][0].update(unoffered=["singing"]),
        "aspects",
        "'singing' is none of the strategies",
    ),
    (
        "all strategies withheld",
        lambda f: f["aspects"][0].update(unoffered=f["aspects"][0]["strategies"]),
        "aspects",
        "leave one to be offered",
    ),
    (
        "unknown placeholder",
        lambda f: f["prompts"].update(tracker="{summarise} {history}"),
        "prompts.tracker",
        "{history}",
    ),
    (
        "placeholder of another prompt",
        lambda f: f["prompts"].update(tracker="{summarise} {topics}"),
        "prompts.tracker",
        "{topics}",
    ),
    (
        "attribute in a placeholder",
        lambda f: f["prompts"].update(tracker="{summarise} {title.__class__}"),
        "prompts.tracker",
        "{title.__class__}",
    ),
    (
        "format in a placeholder",
        lambda f: f["prompts"].update(promoter="{m:>{m}} {propose}"),
        "prompts.promoter",
        "format",
    ),
    (
        "single brace",
        lambda f: f["prompts"].update(promoter="{m} {propose} {"),
        "prompts.promoter",
        "twice",
    ),
    (
        "missing placeholder",
        lambda f: f["prompts"].update(generator="{topics}"),
        "prompts.generator",
        "{words}",
    ),
    ("duplicate aspect", lambda f: f["aspects"][1].update(name="welcome"), "aspects", "welcome"),
    ("no aspect", lambda f: f.update(aspects=[]), "aspects", "at least 1"),
    ("unknown field", lambda f: f.update(colour="red"), "colour", "unknown field; the fields"),
    (
        "unknown field of an aspect",
        lambda f: f["aspects"][1].update(topic=[]),
        "aspects.cake.topic",
        "did you mean 'topics'? the fields here are name, summarise, propose, strategies",
    ),
    ("missing field", lambda f: f.pop("goal"), "goal", "required"),
    (
        "missing fields of an aspect",
        lambda f: f["aspects"].append({"name": "milk", "strategies": ["Greet"]}),
        "aspects.milk",
        "the required fields summarise, propose must be given",
    ),
    (
        "misspelt required field",
        lambda f: f["aspects"][1].update(summarize=f["aspects"][1].pop("summarise")),
        "aspects.cake.summarize",
        "did you mean 'summarise'?",
    ),
    (
        "text for an array",
        lambda f: f["aspects"][1].update(strategies="Greet"),
        "aspects.cake.strategies",
        "write an array in square brackets",
    ),
    (
        "text for an array of tables",
        lambda f: f.update(aspects="cake"),
        "aspects",
        "write [[aspects]] before each entry",
    ),
    (
        "text for an aspect's topics",
        lambda f: f["aspects"][1].update(topics="cake"),
        "aspects.cake.topics",
        "write [[aspects.topics]] before each entry",
    ),
    (
        "text for a passive kind's topics",
        lambda f: f["passive"][0].update(topics="thanks"),
        "passive.thanks.topics",
        "write [[passive.topics]] before each entry",
    ),
    ("text for a switch", lambda f: f.update(guard={"hold": "yes"}), "guard.hold", "true or false"),
    ("number for a switch", lambda f: f["passive"][0].update(due=1), "due", "true or false"),
    ("switch for a number", lambda f: f.update(m=True), "m", "whole number"),
    (
        "switch for a round",
        lambda f: first_topic(f).update(rounds=[True]),
        "aspects.welcome.topics.0.rounds.0",
        "whole number",
    ),
    (
        "too many rounds",
        lambda f: first_topic(f).update(rounds=[1, 2, 3]),
        "aspects.welcome.topics.0.rounds",
        "at most 2",
    ),
    (
        "misspelt strategy",
        lambda f: first_topic(f).update(strategy="Greeet"),
        "aspects.welcome.topics: 'Offer tea.'",
        "such as 'Greet'",
    ),
    (
        "misspelt strategy of a passive topic",
        lambda f: f["passive"][0]["topics"][0].update(strategy="Zzz"),
        "passive.thanks.topics: 'Welcome.'",
        "name one of 'Greet', 'Offer', 'greet', 'Other'",
    ),
    (
        "unknown country",
        lambda f: f.update(guard={"country": "XX"}),
        "guard.country: 'XX'",
        "write one of US, CA, GB",
    ),
    ("text for the guard", lambda f: f.update(guard="yes"), "guard", "write true, false, or"),
    ("empty line", lambda f: f.update(goal="   "), "goal", "at least one"),
    ("wrong type", lambda f: f.update(m="many"), "m", "whole number"),
    ("too small", lambda f: f.update(k=0), "k", "1 or more"),
    ("unknown side", lambda f: f.update(opens="nobody"), "opens", "'user' or 'system'"),
    ("list for a text", lambda f: f.update(title=["a"]), "title", "a text"),
    ("text for the prompts", lambda f: f.update(prompts="say"), "prompts", "a table"),
    ("aspect name", lambda f: f["aspects"][0].update(name="Two Words"), "name", "letters"),
    ("role with a colon", lambda f: f.update(user_role="system: x"), "user_role", "letters"),
    (
        "no strategy",
        lambda f: f["aspects"][0].update(strategies=[]),
        "aspects.welcome.strategies",
        "at least 1",
    ),
    (
        "no form",
        lambda f: first_topic(f).update(say=[]),
        "aspects.welcome.topics.0.say",
        "at least 1",
    ),
    (
        "no plain form",
        lambda f: first_topic(f).update(say=["How is {subject}?"]),
        "aspects.welcome.topics.0.say",
        "without {subject}",
    ),
    (
        "another placeholder in a form",
        lambda f: first_topic(f).update(say=["Hi, {name}."]),
        "aspects.welcome.topics.0.say",
        "{name}",
    ),
    (
        "rounds the wrong way round",
        lambda f: first_topic(f).update(rounds=[3, 1]),
        "aspects.welcome.topics.0.rounds",
        "[3, 1]",
    ),
    (
        "round zero",
        lambda f: first_topic(f).update(rounds=[0, 2]),
        "aspects.welcome.topics.0.rounds",
        "from 1",
    ),
    (
        "unknown subject",
        lambda f: first_topic(f).update(about=["sugar"]),
        "aspects.welcome.topics",
        "'sugar'",
    ),
    (
        "unknown subject of a passive topic",
        lambda f: f["passive"][0]["topics"][0].update(about=["sugar"]),
        "passive.thanks.topics",
        "'sugar'",
    ),
    (
        "unknown subject of a passive kind",
        lambda f: f["passive"][0].update(about=["sugar"]),
        "passive.thanks.about",
        "'sugar'",
    ),
    (
        "further cues without a cue",
        lambda f: f["subjects"][0].update(more=[{"cues": [], "not_with": ["no"]}]),
        "subjects.0.more.0.cues",
        "1",
    ),
    (
        "unknown subject in unless",
        lambda f: f["subjects"][0].update(unless=["sugar"]),
        "subjects.milk.unless",
        "'sugar'",
    ),
    (
        "topic twice",
        lambda f: f["aspects"][0]["topics"].append({**first_topic(f), "topic": "offer tea."}),
        "aspects.welcome.topics",
        "offer tea.",
    ),
    ("subject twice", lambda f: f["subjects"].append(f["subjects"][0]), "subjects", "milk"),
    ("passive kind twice", lambda f: f["passive"].append(f["passive"][0]), "passive", "thanks"),
    (
        "aspect in other letters",
        lambda f: f["aspects"][0].update(name="Приветствие"),
        "aspects.",
        "use up to 40 of the letters a to z",
    ),
    ("role in signs", lambda f: f.update(user_role="!?"), "user_role", "use up to 30 letters"),
    ("subject without cues", lambda f: f["subjects"][0].update(cues=[]), "subjects.0.cues", "1"),
    (
        "passive kind without topics",
        lambda f: f["passive"][0].update(topics=[]),
        "passive.thanks.topics",
        "at least 1",
    ),
    (
        "guard with less than nothing",
        lambda f: f.update(guard={"rarer": -0.5}),
        "guard.rarer",
        "0 or more",
    ),
    ("guard with a word", lambda f: f.update(guard={"rarer": "ten"}), "guard.rarer", "number"),
    ("guard with a switch", lambda f: f.update(guard={"rarer": True}), "guard.rarer", "number"),
    ("echo without its place", lambda f: f.update(echo=["I hear you."]), "echo", "{echo}"),
]


@pytest.mark.parametrize(
    ("spoil", "place", "about"), [s[1:] for s in SPOILT], ids=[s[0] for s in SPOILT]
)
def test_a_spoilt_task_names_file_and_field(
    spoil: Spoil, place: str, about: str, fields: Fields, tmp_path: Path
) -> None:
    spoil(fields)
    file = written(fields, tmp_path / "tea.toml")
    with pytest.raises(TaskError) as caught:
        load_task(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert place in message
    assert about in message
    assert "\n" not in message
    for word in ("Input", "tuple", "Tuple", "Extra", "String", "item", "instance", "dictionary"):
        assert word not in message


@pytest.mark.parametrize(
    "name",
    [
        "passive",
        "messages",
        "cooper",
        "ranking",
        "intake",
        "coordinator",
        "generator",
        "guard",
        "tracker",
        "promoter",
        "progression",
    ],
)
def test_an_aspect_takes_no_name_of_the_graphs(name: str, fields: Fields) -> None:
    fields["aspects"][0]["name"] = name
    with pytest.raises(ValidationError, match=f"'{name}' is a name the graph uses"):
        TaskSpec.model_validate(fields)


def test_passive_topics_are_free_without_passive_strategies(fields: Fields) -> None:
    del fields["passive_strategies"]
    fields["guard"] = {"country": "gb"}
    assert TaskSpec.model_validate(fields).passive[0].topics[0].strategy == "Other"


def test_a_mistake_in_an_array_is_counted_once(fields: Fields, tmp_path: Path) -> None:
    first_topic(fields).update(say=[])
    with pytest.raises(TaskError, match=r"say: .* at least 1$"):
        load_task(written(fields, tmp_path / "tea.toml"))


def test_several_mistakes_are_counted(fields: Fields, tmp_path: Path) -> None:
    fields.update(m=0, k=0, title="")
    with pytest.raises(TaskError, match=r"title: .* \(and 2 more\)$"):
        load_task(written(fields, tmp_path / "tea.toml"))


def test_a_task_cannot_be_changed(fields: Fields) -> None:
    task = TaskSpec.model_validate(fields)
    with pytest.raises(ValidationError):
        task.goal = "Something else."  # type: ignore[misc]


def test_strategies_promote_aspects_in_any_capitals(fields: Fields) -> None:
    task = TaskSpec.model_validate(fields)
    assert task.promoted_by(["GREET"]) == {"welcome", "cake"}
    assert task.promoted_by(["offer", "Other"]) == {"cake", PASSIVE}
    assert task.promoted_by(["unheard of"]) == task.promoted_by([]) == frozenset()
    assert task.knows("oFFer")
    assert not task.knows("unheard of")


def test_the_paper_maps_these_strategies() -> None:
    esc, persuasion = load_task("esc"), load_task("persuasion")
    assert esc.promoted_by(["Question"]) == {"exploration"}
    assert esc.promoted_by(["Providing Suggestions", "Information"]) == {"action"}
    assert esc.promoted_by(["Self-disclosure"]) == {"comforting"}
    assert esc.promoted_by(["Others"]) == {"comforting", PASSIVE}
    assert persuasion.promoted_by(["task-related-inquiry"]) == {"attention"}
    assert persuasion.promoted_by(["foot-in-the-door"]) == {"appeal"}
    assert persuasion.promoted_by(["ask-donation-amount"]) == {"proposition"}


def test_an_unknown_aspect_is_a_key_error(fields: Fields) -> None:
    with pytest.raises(KeyError, match="milk"):
        TaskSpec.model_validate(fields).aspect("milk")


def test_braces_in_values_stay_as_they_are() -> None:
    filled = fill("{{literal}} {topics} {words}", {"topics": "{words} {0} {{x}}", "words": 5})
    assert filled == "{literal} {words} {0} {{x}} 5"


def test_the_switch_of_the_guard_in_a_task_file(tmp_path: Path) -> None:
    assert load_task("esc").guard == GuardSettings()
    assert load_task("persuasion").guard == GuardSettings(alone=True, rarer=1.0)
    text = EXAMPLE.read_text(encoding="utf-8")
    own = tmp_path / "own.toml"
    own.write_text("guard = { country = 'DE', hold = false }\n" + text, encoding="utf-8")
    assert load_task(own).guard == GuardSettings(country="DE", hold=False)
    own.write_text("guard = false\n" + text, encoding="utf-8")
    assert load_task(own).guard is None
    own.write_text("guard = { country = 'Germany' }\n" + text, encoding="utf-8")
    with pytest.raises(TaskError, match=r"guard\.country"):
        load_task(own)
