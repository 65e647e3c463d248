from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from langgraph_cooper.graph.cli import train_generator as train_command
from langgraph_cooper.graph.cli.app import app
from langgraph_cooper.graph.training.generator import topics
from langgraph_cooper.graph.training.generator import train as training
from langgraph_cooper.graph.training.generator.packing import LearnedDialogue
from langgraph_cooper.nodes.finetuned.checkpoint import open_voice
from langgraph_cooper.nodes.finetuned.errors import VoiceError
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker import load
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.training.config import TrainingError
from tests.support.rankers import FakeRanker
from tests.support.tiny_bases import write_base


def dialogues(folder: Path, name: str, count: int) -> Path:
    """A file of annotated dialogues."""
    aspects = load_task("esc").aspect_names
    file = folder / f"{name}.jsonl"
    with file.open("w") as out:
        for number in range(count):
            said = [
                {"speaker": "user", "text": f"I lost job {name} {number}."},
                {"speaker": "system", "text": "That is hard.", "strategies": ["Others"]},
                {"speaker": "user", "text": "Yes."},
                {"speaker": "system", "text": "I lost mine.", "strategies": ["Self-disclosure"]},
            ]
            turns = [
                {
                    "index": index,
                    "states": dict.fromkeys(aspects, "The job is gone."),
                    "candidates": [
                        {"aspect": aspects[0], "strategy": "Question", "topic": f"topic {place}"}
                        for place in range(4)
                    ],
                }
                for index in (1, 3)
            ]
            out.write(
                json.dumps(
                    {"id": f"{name}-{number}", "utterances": said, "turns": turns,
                     "final_states": dict.fromkeys(aspects, ""), "made_by": ""}
                ) + "\n"
            )  # fmt: skip
    return file


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "ranker_loader", lambda _: FakeRanker)


def run(*words: str | Path) -> str:
    result = CliRunner().invoke(app, ["train", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_a_generator_is_trained_from_a_file(kind: str, quick: None, tmp_path: Path) -> None:
    base = write_base(kind, tmp_path / "base")  # type: ignore[arg-type]
    files = [dialogues(tmp_path, "train", 4), dialogues(tmp_path, "valid", 2)]
    out = tmp_path / "voice"
    said = run(
        "generator", "--data", files[0], "--valid", files[1], "--base", base, "--epochs", "2",
        "--limit", "3", "--output", out,
    )  # fmt: skip
    assert "3 conversations with 6 system turns" in said
    voice = open_voice(out)
    assert voice.config.kind == kind
    assert voice.merged().kind == kind
    card = (out / "README.md").read_text()
    assert "| turns | 3 |" in card  # self-disclosures are left out
    assert "CC BY-NC 4.0" in card
    assert "| valid loss |" in card


def test_the_topics_shown_are_the_rankers_or_the_best_labelled(tmp_path: Path) -> None:
    from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue

    line = dialogues(tmp_path, "train", 1).read_text()
    dialogue = AnnotatedDialogue.model_validate_json(line)
    ranker = FakeRanker()
    task = load_task("esc")
    for share in (0.0, 1.0):
        learned = list(
            topics.learned_dialogues([dialogue], task, ranker, seed=1, best_labelled=share)
        )
        assert [turn.index for turn in learned[0].turns] == [1]
        assert len(learned[0].turns[0].topics) == task.k


def test_what_cannot_be_used_is_said_before_the_work(quick: None, tmp_path: Path) -> None:
    data = dialogues(tmp_path, "train", 2)
    with pytest.raises(VoiceError, match="cannot be loaded"):
        run("generator", "--data", data, "--base", tmp_path / "none", "--output", tmp_path / "out")
    with pytest.raises(TrainingError, match="already exists"):
        run("generator", "--data", data, "--output", tmp_path)
    with pytest.raises(TrainingError, match="are both in"):
        run(
            "generator", "--data", data, "--valid", data, "--output", tmp_path / "out",
            "--base", write_base("causal", tmp_path / "base"),
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_several_files_are_learnt_from_without_what_is_to_be_measured_on(
    quick: None, tmp_path: Path
) -> None:
    base = write_base("causal", tmp_path / "base")
    one, other = dialogues(tmp_path, "one", 3), dialogues(tmp_path, "other", 3)
    held = tmp_path / "held.jsonl"  # the same words under another name
    held.write_text(one.read_text().splitlines()[0].replace('"id": "one-0"', '"id": "z"') + "\n")
    out = tmp_path / "voice"
    said = run(
        "generator", "--data", one, "--data", other, "--data", one, "--leave-out", held, "--base",
        base, "--limit", "4", "--output", out,
    )  # fmt: skip
    assert "4 conversations with 8 system turns" in said
    assert "2 dialogues are left out" in said  # the same file is named twice
    card = (out / "README.md").read_text()
    assert "one.jsonl and other.jsonl." in card
    assert "--data one.jsonl --data other.jsonl" in card
    assert "--leave-out held.jsonl" in card
    with pytest.raises(TrainingError, match="every dialogue is empty or one of those to leave out"):
        run("generator", "--data", held, "--leave-out", one, "--base", base, "--output", out / "x")


def test_dialogues_of_one_id_and_other_words_are_not_taken_for_the_same(
    quick: None, tmp_path: Path
) -> None:
    base = write_base("causal", tmp_path / "base")
    one, other = dialogues(tmp_path, "one", 2), tmp_path / "other.jsonl"
    other.write_text(one.read_text().replace("I lost job one", "We moved to house"))
    out = tmp_path / "voice"
    with pytest.raises(DataError, match=r"the id 'one-0', in .*one\.jsonl and in .*other\.jsonl"):
        run("generator", "--data", one, "--data", other, "--base", base, "--output", out)
    said = run("generator", "--data", one, "--leave-out", other, "--base", base, "--output", out)
    assert "2 conversations with 4 system turns" in said


def test_a_run_that_was_begun_with_other_dialogues_does_not_go_on(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, one = write_base("causal", tmp_path / "base"), dialogues(tmp_path, "one", 3)
    held = tmp_path / "held.jsonl"
    held.write_text(one.read_text().splitlines()[0] + "\n")
    command = ("generator", "--data", one, "--base", base, "--output", tmp_path / "voice")

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(training, "train_generator", stopped)
        CliRunner().invoke(app, ["train", *map(str, command)])
    with pytest.raises(DataError, match="was made with another data: choose another --output"):
        run(*command, "--leave-out", held)
    with pytest.raises(DataError, match="was made with another setting"):
        run(*command, "--seed", "7")
    relabelled = tmp_path / "one.jsonl"
    kept = relabelled.read_text()
    relabelled.write_text(kept.replace("The job is gone.", "The dog is gone."))
    with pytest.raises(DataError, match="was made with another data"):
        run(*command)
    relabelled.write_text(kept)
    assert "3 conversations with 6 system turns" in run(*command)
    assert not list(tmp_path.glob(".*-run"))  # another one would go on from it


def test_what_is_annotated_stays_so_beside_raw_dialogues(quick: None, tmp_path: Path) -> None:
    base, one, raw = (
        write_base("causal", tmp_path / "base"),
        dialogues(tmp_path, "one", 1),
        tmp_path / "raw.jsonl",
    )
    bare = json.loads(one.read_text().replace("job one", "house")) | {"id": "raw"}
    raw.write_text(
        json.dumps({key: value for key, value in bare.items() if key in ("id", "utterances")})
    )
    learnt: list[LearnedDialogue] = []

    def noted(given: list[LearnedDialogue], *_: object) -> None:
        learnt.extend(given)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "train_generator", noted)
        command = ["generator", "--data", one, "--data", raw, "--base", base, "--output"]
        command.append(tmp_path / "voice")
        CliRunner().invoke(app, ["train", *map(str, command)])
    states = [set(each.turns[0].states.values()) for each in learnt]
    assert states[0] == {"The job is gone."}
    assert states[1] != states[0]


def test_a_base_with_another_ones_tokenizer_is_refused_before_the_long_work(
    tmp_path: Path,
) -> None:
    from transformers import AutoModelForCausalLM

    one, base = dialogues(tmp_path, "one", 1), write_base("causal", tmp_path / "base")
    small = AutoModelForCausalLM.from_pretrained(base)
    small.resize_token_embeddings(50)
    small.save_pretrained(base)
    with pytest.raises(VoiceError, match="has embeddings of 50 tokens, and its tokenizer has"):
        run("generator", "--data", one, "--base", base, "--output", tmp_path / "voice")
    assert not list(tmp_path.glob(".voice*"))


def test_a_base_that_cannot_be_trained_is_refused_before_the_long_work(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    one, base = dialogues(tmp_path, "one", 1), write_base("causal", tmp_path / "base")
    other = GPTNeoXConfig(
        vocab_size=260, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4,
    )  # fmt: skip
    for file in base.glob("*.safetensors"):
        file.unlink()
    GPTNeoXForCausalLM(other).save_pretrained(base)
    monkeypatch.setattr(train_command, "annotate_into", None)
    with pytest.raises(VoiceError, match="gpt_neox, whose layers have other names"):
        run("generator", "--data", one, "--base", base, "--output", tmp_path / "voice")


def test_data_without_a_turn_to_learn_from_is_told(quick: None, tmp_path: Path) -> None:
    base, one = write_base("causal", tmp_path / "base"), dialogues(tmp_path, "one", 2)
    one.write_text(one.read_text().replace('"Others"', '"Self-disclosure"'))
    with pytest.raises(TrainingError, match="no turn can be learnt from"):
        run("generator", "--data", one, "--base", base, "--output", tmp_path / "voice")
