"""`cooper evaluate ablations` and the fine-tuned systems of `cooper evaluate generation`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langgraph_cooper.graph.evaluation.ablations import budgets_of
from langgraph_cooper.graph.training.generator.topics import Part, learned_dialogues
from langgraph_cooper.nodes.finetuned import choice, generator
from langgraph_cooper.nodes.finetuned.checkpoint import open_voice
from langgraph_cooper.nodes.finetuned.choice import Chooser
from langgraph_cooper.nodes.finetuned.engine import Engine
from langgraph_cooper.nodes.finetuned.format import Budgets, Given, TopicLine
from langgraph_cooper.nodes.state import Candidate
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    AnnotatedTurn,
    LabelledUtterance,
)
from langgraph_cooper.ranker.load import SHIPPED
from tests.support.commands import Cooper
from tests.support.rankers import FakeRanker
from tests.support.tiny_bases import write_base
from tests.support.voices import tiny_voice

ESC = load_task("esc")
pytest.importorskip("ctranslate2", reason="needs the extra `voice`")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COOPER_CACHE", str(tmp_path / "cache"))


def raw(file: Path, *words: str) -> Path:
    rows = []
    for word in words:
        said = [("usr", f"I lost {word}."), ("sys", "Oh no!"), ("usr", "Yes."), ("sys", "Why?")]
        turns = [
            {"speaker": who, "text": text} | ({"strategy": "Question"} if who == "sys" else {})
            for who, text in said
        ]
        rows.append(json.dumps({"dialog": turns}))
    file.write_text("\n".join(rows), "utf-8")
    return file


# -- ablations ---------------------------------------------------------------------------------


def annotated() -> AnnotatedDialogue:
    sides = [("user", "I lost my job."), ("system", "Which one?")]
    said = tuple(LabelledUtterance(speaker=side, text=text) for side, text in sides)
    topics = [f"topic {number}" for number in range(5)]
    candidates = tuple(
        Candidate(aspect="action", strategy="Question", topic=topic) for topic in topics
    )
    turn = AnnotatedTurn(index=1, states={"action": "None yet."}, candidates=candidates)
    return AnnotatedDialogue(
        id="a", utterances=said, turns=(turn,), final_states={"action": "None yet."}
    )


@pytest.mark.parametrize(
    ("without", "topics", "states"),
    [(None, 3, 1), ("coordination", 5, 1), ("promoter", 0, 1), ("tracker", 3, 0)],
)
def test_an_ablation_shows_what_is_left(without: Part | None, topics: int, states: int) -> None:
    (learned,) = learned_dialogues(
        [annotated()], ESC, FakeRanker(), seed=1, best_labelled=None, without=without
    )
    (turn,) = learned.turns
    assert (len(turn.topics), len(turn.states)) == (topics, states)
    room = budgets_of(without, [learned], k=3)
    assert room.topics == (80 if without == "coordination" else Budgets().topics)  # 48 / 3 each


def test_every_ablation_is_trained_and_scored(cooper: Cooper, tmp_path: Path) -> None:
    train, valid = raw(tmp_path / "t.txt", "a job", "a dog"), raw(tmp_path / "v.txt", "a hat")
    base = write_base("causal", tmp_path / "base")
    command = ["evaluate", "ablations", "--data", train, "--valid", valid, "--base", base]
    command += ["--output", tmp_path / "out", "--json"]
    few = [*command, "--parts", "tracker"]
    report = cooper(*few).json()
    assert list(report["systems"]) == ["complete", "without tracker"]
    assert set(report["perplexity"]["systems"]) == {"complete", "without tracker"}
    assert set(report["p_values"]) == {"without tracker"}
    assert report["turns"] == 2
    kept = tmp_path / "out" / "complete.replies.jsonl"
    told = json.loads(kept.read_text("utf-8").splitlines()[0])
    kept.write_text(kept.read_text("utf-8").replace(json.dumps(told["reply"]), '"Kept."'), "utf-8")
    before = kept.read_bytes()
    done = cooper(*command)  # goes on: what is there is kept
    report = done.json()
    assert "training: without promoter" in done.err
    assert "training: complete" not in done.err
    names = [f"without {part}" for part in ("coordination", "progression", "promoter", "tracker")]
    assert list(report["systems"]) == ["complete", *names]
    assert kept.read_bytes() == before
    assert open_voice(tmp_path / "out" / "without-coordination").config.budgets.topics > 100
    assert cooper(*few, "--turns", "1").json()["turns"] == 1
    cooper(*command, "--seed", "2").fails("made with another seed", "--output")
    cooper(*command, "--limit", "1").fails("made with another data")
    valid.write_text(valid.read_text("utf-8").replace("Question", "Others"), "utf-8")
    cooper(*few).fails("made with another valid")


def test_an_ablation_that_cannot_be_is_one_error(cooper: Cooper, tmp_path: Path) -> None:
    train, valid = raw(tmp_path / "t.txt", "a job"), raw(tmp_path / "v.txt", "a hat")
    base = write_base("causal", tmp_path / "base")
    command = ["evaluate", "ablations", "--data", train, "--output", tmp_path / "out"]
    command += ["--base", base]
    assert "no part 'heart'" in cooper(*command, "--valid", valid, "--parts", "heart").err
    cooper(*command, "--valid", train).fails("1 dialogues are both in")
    other = [*command, "--valid", valid, "--task", "examples/negotiation.toml"]
    cooper(*other).fails("no ranker without progression", "--no-progression")
    plain = [*command, "--valid", valid, "--without-progression", SHIPPED / "esc"]
    cooper(*plain).fails("reads progression signals")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "diary").touch()
    cooper(*command, "--valid", valid).fails("holds something else")


# -- the fine-tuned systems --------------------------------------------------------------------


def test_the_fine_tuned_systems_reply(
    cooper: Cooper,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Given] = []
    drawn = [["An odd one.", "How did you lose it?", "How did you lose it all?", ""]]

    def sample(_: Engine, given: list[Given], *__: object, **___: object) -> list[list[str]]:
        asked.extend(given)
        return drawn

    monkeypatch.setattr(Engine, "sample", sample)
    monkeypatch.setattr(generator, "chooser", lambda *_: lambda _h, samples, *_: samples[0])
    monkeypatch.setattr(choice, "load_chooser", Chooser)
    data, out = raw(tmp_path / "v.txt", "a hat"), tmp_path / "t.json"
    command = ["evaluate", "generation", "--data", data, "--output", out, "--json"]
    command += ["--systems", "finetuned-mbr,finetuned"]
    voice = tiny_voice(tmp_path / "one")
    report = cooper(*command, "--generator", voice.folder).json()
    assert report["turns"] == 2
    lines = (tmp_path / "t.finetuned-mbr.jsonl").read_text("utf-8").splitlines()
    kept = [json.loads(line) for line in lines]
    assert [line["reply"] for line in kept] == ["How did you lose it?"] * 2
    assert len(asked) == 4
    assert len(asked[0].topics) == 3
    assert isinstance(asked[0].topics[0], TopicLine)
    assert set(asked[0].states) == set(ESC.aspect_names)
    # Another generator's replies are others.
    cooper(*command, "--generator", tiny_voice(tmp_path / "two", size=0.2).folder)
    assert len(asked) == 8
    cooper(*command, "--generator", voice.folder)
    assert len(asked) == 8
    alone = [*command[:-1], "finetuned-alone"]
    assert cooper(*alone, "--generator", voice.folder).json()["turns"] == 2
    said = (tmp_path / "t.finetuned-alone.jsonl").read_text("utf-8")
    assert "listening" not in said  # what stands for silence does not compete
    assert len(asked) == 10
    assert (asked[-1].topics, asked[-1].states) == ([], {})
    bank = [*command[:-1], "bank"]
    cooper(*bank, "--generator", voice.folder).fails("--generator is for the systems finetuned")
    cooper(*command, "--generator", tmp_path).fails("is no fine-tuned generator")
    other = tiny_voice(tmp_path / "three", task="persuasion").folder
    cooper(*command, "--generator", other).fails("trained for the task 'persuasion'")


def test_without_the_extra_the_bank_does_not_pass_for_the_generator(
    cooper: Cooper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from langgraph_cooper.nodes.finetuned import engine
    from langgraph_cooper.nodes.finetuned.errors import VoiceMissing

    def missing(*_: object, **__: object) -> Engine:
        raise VoiceMissing("install the extra `voice`")

    monkeypatch.setattr(engine, "load_engine", missing)
    data = raw(tmp_path / "v.txt", "a hat")
    for system in ("finetuned", "finetuned-mbr", "finetuned-alone"):
        command = ["evaluate", "generation", "--data", data, "--systems", system]
        cooper(*command).fails("install the extra `voice`")


def test_the_most_typical_sample_holds_no_conversation(cooper: Cooper, tmp_path: Path) -> None:
    data = raw(tmp_path / "v.txt", "a hat")
    talk = ["evaluate", "interactive", "--roles", data, "--user", "trained"]
    talk += ["--systems", "finetuned-mbr", "--output", tmp_path / "talks.jsonl"]
    cooper(*talk).fails("there is no system 'finetuned-mbr'", "finetuned")


def test_the_generator_reads_what_the_data_hold(
    cooper: Cooper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Given] = []

    def sample(_: Engine, given: list[Given], *__: object, **___: object) -> list[list[str]]:
        asked.extend(given)
        return [["Which one was it?"]]

    def write(*states: str) -> Path:
        rows = []
        for name, state in zip("ab", states, strict=True):
            row = json.loads(annotated().model_dump_json()) | {"id": name}
            said = row["utterances"][1]["text"] + (" Tell me." if name == "b" else "")
            row["utterances"][1]["text"] = said  # the words before it are those of the other
            more = [{"speaker": "user", "text": "Mine."}, {"speaker": "system", "text": "Oh."}]
            row["utterances"] += [{**each, "strategies": []} for each in more]
            row["turns"][0]["states"] = dict.fromkeys(ESC.aspect_names, state)
            row["final_states"] = dict.fromkeys(ESC.aspect_names, "")
            rows.append(json.dumps(row))
        data.write_text("\n".join(rows) + "\n", "utf-8")
        return data

    monkeypatch.setattr(Engine, "sample", sample)
    data, voice = tmp_path / "a.jsonl", tiny_voice(tmp_path / "voice")
    command = ["evaluate", "generation", "--generator", voice.folder, "--json", "--output"]
    command += [tmp_path / "t.json", "--systems", "bank,finetuned-annotated", "--data"]
    report = cooper(*command, write("The job is gone.", "The dog is gone.")).json()
    assert report["turns"] == 2  # the others are not annotated
    assert list(report["systems"]) == ["bank", "finetuned-annotated"]
    shown = [set(given.states.values()) for given in asked]
    assert shown == [{"The job is gone."}, {"The dog is gone."}]
    assert [topic.topic[:5] for topic in asked[0].topics] == ["topic"] * 3
    cooper(*command, data)
    assert len(asked) == 2  # they are kept
    cooper(*command, write("The job is gone.", "The cat is gone."))
    assert len(asked) == 4  # with other states they are others
    refused = cooper(*command, data, "--outputs", f"other={data}")
    assert refused.code == 2
    assert "leaves turns out" in " ".join(refused.err.replace("│", " ").split())
    cooper(*command, raw(tmp_path / "v.txt", "a hat")).fails("annotate the data first")
