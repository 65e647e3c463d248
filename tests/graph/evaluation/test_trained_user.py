"""A user that is trained on the users' side, and plays a role in a conversation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langgraph_cooper.graph.evaluation.interactive.users import in_manner, trained_user
from langgraph_cooper.graph.training.generator.users import Terciles, learned_users, signs_of
from langgraph_cooper.nodes.finetuned import checkpoint
from langgraph_cooper.nodes.finetuned.checkpoint import open_voice
from langgraph_cooper.nodes.finetuned.errors import VoiceError
from langgraph_cooper.nodes.finetuned.users import SIGNS, USER_BUDGETS, user_given
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import Dialogue, LabelledUtterance, Utterance
from langgraph_cooper.ranker.data.roles import Role
from tests.support.commands import Cooper
from tests.support.tiny_bases import tiny_base, write_base
from tests.support.voices import tiny_voice

ESC = load_task("esc")


def survey(begun: int, ended: int) -> dict[str, float]:
    return {"initial_emotion_intensity": begun, "final_emotion_intensity": ended}


def dialogue(name: str, *texts: str) -> Dialogue:
    sides = ("user", "system")
    said = [LabelledUtterance(speaker=sides[n % 2], text=t) for n, t in enumerate(texts)]
    return Dialogue(id=name, utterances=tuple(said))


def test_length_and_end_are_signs_of_manner() -> None:
    people = [dialogue(str(n), "word " * n, "Yes.") for n in (1, 2, 3, 9, 10, 11)]
    terciles = Terciles.of(people)
    lost = Role(id="a", problem="x", scores=survey(4, 3))
    agreed = Role(id="b", problem="x", reactions={"agree-donation": 2, "disagree-donation": 1})
    assert signs_of(people[0], lost, terciles) == {"length": "short", "end": "not won"}
    assert signs_of(people[2], agreed, terciles) == {"length": "medium", "end": "won"}
    assert signs_of(people[5], Role(id="c", problem="x"), terciles) == {"length": "long"}


def test_training_and_use_read_the_same_tokens() -> None:
    talk = dialogue("a", "I am sad.", "Why is that?", "He left.")
    role = Role(id="a", problem="breakup", scores=survey(5, 1))
    unknown = dialogue("unknown", "Hi.", "Hello.")
    (learned,) = learned_users([talk, unknown], {"a": role}, Terciles(9, 10))
    form = tiny_base("causal").format(USER_BUDGETS)
    assert [turn.index for turn in learned.turns] == [0, 2]
    said = [Utterance(u.speaker, u.text) for u in talk.utterances[:2]]
    used = user_given(said, role.text, "reserved")
    assert learned.given(learned.turns[1])._replace(history=[]) == used._replace(history=[])
    assert form.prompt(learned.given(learned.turns[1])) == form.prompt(used)
    text = form._tokenizer.decode(form.prompt(used), skip_special_tokens=True)
    assert text.endswith("assistant\n")  # in whose place the user speaks
    assert "user\nWhy is that?" in text
    assert len(set(map(str, SIGNS.values()))) == 3


def test_a_user_is_trained_and_talks(
    cooper: Cooper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COOPER_CACHE", str(tmp_path / "cache"))
    said = [("usr", "I am sad."), ("sys", "Why?"), ("usr", "He left."), ("sys", "Oh.")]
    turns = [
        {"speaker": who, "text": text} | ({"strategy": "Question"} if who == "sys" else {})
        for who, text in said
    ]
    data = tmp_path / "raw.txt"
    last = [{"speaker": "usr", "text": str(number)} for number in range(3)]
    rows = [{"dialog": [*turns, each], "situation": each["text"]} for each in last]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    base, out = write_base("causal", tmp_path / "base"), tmp_path / "user"
    command = ["train", "generator", "--speaker", "user", "--data", data, "--base", base]
    done = cooper(*command, "--output", out)
    assert "3 conversations with 9 user turns" in done.err
    assert "3 of 3 dialogues have a role" in done.err
    assert f"--user trained --user-adapter {out}" in done.out
    voice = open_voice(out)
    assert (voice.config.speaker, voice.config.budgets) == ("user", USER_BUDGETS)
    assert "user for the task `esc`" in (out / "README.md").read_text("utf-8")
    with pytest.raises(VoiceError, match="trained as users"):
        voice.check_task("esc", ESC.aspect_names)
    cooper("chat", "--generator", out).fails("were trained as users to talk with it")
    talk = ["evaluate", "interactive", "--roles", data, "--systems", "bank", "--rounds", "2"]
    talk += ["--user", "trained", "--user-adapter", out, "--output", tmp_path / "talks.jsonl"]
    assert "no call of a chat model" in cooper(*talk, "--dry-run").err
    assert not [*(tmp_path / "cache").rglob("manifest.json")]  # the estimate makes no copy
    done = cooper(*talk, "--manners", "reserved", "--limit", "1", "--json")
    assert done.json()["held"] == 1
    assert [*(tmp_path / "cache").rglob("manifest.json")]
    assert "Loading weights" not in done.err


def test_the_manner_chooses_what_is_said() -> None:
    drawn = ["Yes, thank you.", "I don't know what that should change.", "No."]
    drawn += ["Okay, I will try to talk with him about it tomorrow, that is a good idea."]
    assert in_manner("cooperative", drawn) == drawn[3]
    assert in_manner("reserved", drawn) == "No."
    assert in_manner("resistant", drawn) == drawn[1]
    assert in_manner("resistant", ["Yes."]) == "Yes."


def test_a_shipped_user_is_taken_for_its_own_task_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ctranslate2", reason="needs the extra `voice`")
    monkeypatch.setenv("COOPER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(checkpoint, "SHIPPED", tmp_path / "shipped")
    with pytest.raises(VoiceError, match=r"no trained user is shipped.*--speaker user"):
        trained_user(ESC, None)
    made = tiny_voice(tmp_path / "made", speaker="user")
    (tmp_path / "shipped").mkdir()
    made.folder.rename(tmp_path / "shipped" / "esc-user")
    assert made.config.weights_sha256 in trained_user(ESC, None).identity
    assert checkpoint.shipped_voice("esc", ESC.aspect_names) is None  # it is no generator
    fewer = ESC.model_copy(update={"aspects": ESC.aspects[:2]})
    with pytest.raises(VoiceError, match="no trained user is shipped"):
        trained_user(fewer, None)
