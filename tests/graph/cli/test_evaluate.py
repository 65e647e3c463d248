"""`cooper evaluate` and `cooper plot`, with the shipped ranker on a few dialogues."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.language_models import FakeListChatModel

from langgraph_cooper.graph.evaluation.llm_ranking import LlmRanking
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker import load
from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    AnnotatedTurn,
    Candidate,
    DataError,
    LabelledUtterance,
)
from langgraph_cooper.ranker.data.jsonl import write_annotated
from langgraph_cooper.ranker.evaluation.report import MeasuredTurns
from langgraph_cooper.ranker.load import shipped_checkpoint
from langgraph_cooper.ranker.model import encoder
from tests.support.commands import Cooper
from tests.support.openai_server import OpenAIServer, Reply, Request
from tests.support.rankers import FakeRanker

ESC = load_task("esc")
LEARNT = {"random", "commonest aspect", "similarity", "prior + similarity", "cooper"}
SUBJECTS = ("job", "exam", "cat", "rent")


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ranker that costs nothing, where it does not matter which one."""
    monkeypatch.setattr(load, "ranker_loader", lambda *_: FakeRanker)


def dialogue(number: int) -> AnnotatedDialogue:
    """Three rounds about one subject: a question, a comfort, a suggestion."""
    about = SUBJECTS[number]
    kinds = {"exploration": "Question", "comforting": "Reflection of feelings"}
    kinds["action"] = "Providing Suggestions"
    utterances, turns = [LabelledUtterance(speaker="user", text=f"My {about} worries me.")], []
    candidates = tuple(
        Candidate(aspect=aspect, strategy=strategy, topic=f"{aspect} about the {thing}")
        for aspect, strategy in kinds.items()
        for thing in (about, "weather")
    )
    for index, (aspect, strategy) in enumerate(kinds.items()):
        states = {name: f"{name} of {about} {index}" if index else "" for name in kinds}
        turns.append(AnnotatedTurn(index=2 * index + 1, states=states, candidates=candidates))
        utterances += [
            LabelledUtterance(speaker="system", text=f"{aspect}: {about}", strategies=(strategy,)),
            LabelledUtterance(speaker="user", text=f"Yes, the {about}, {index} of them."),
        ]
    return AnnotatedDialogue(
        id=f"d{number}",
        utterances=tuple(utterances),
        turns=tuple(turns),
        final_states={name: f"{name} of {about}, number {number}, is better" for name in kinds},
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "annotated.jsonl"
    write_annotated(file, [dialogue(number) for number in range(len(SUBJECTS))])
    return file


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    lines = [
        json.dumps(
            {
                "dialog": [
                    {"speaker": "usr", "text": f"I lost my {lost}."},
                    {"speaker": "sys", "text": "What happened?", "strategy": "Question"},
                    {"speaker": "usr", "text": "It is gone."},
                ]
            }
        )
        for lost in ("job", "dog")
    ]
    file = tmp_path / "raw.txt"
    file.write_text("\n".join(lines), "utf-8")
    return file


def test_it_needs_no_training_data(cooper: Cooper, data: Path) -> None:
    report = cooper("evaluate", "ranking", "--data", data, "--annotated", "--json").json()
    assert list(report)[:3] == ["turns", "rankings", "p_values"]
    assert report["turns"] == 12
    # The shipped ranker is compared with the shipped ablation, unasked.
    assert set(report["rankings"]) == LEARNT | {"evidence alone", "without progression"}
    for found in report["rankings"].values():
        assert len(found["hit"]) == len(found["precision"]) == 5
        assert found["hit"] == sorted(found["hit"])
        assert 0 <= found["ndcg@5"] <= 1
    assert set(report["p_values"]) == set(report["rankings"]) - {"cooper"}
    assert report["commonest_aspect"] == "comforting"
    assert report["similarity_weight"]["tuned"]
    assert set(report["distances"]) == set(report["rankings"])


@pytest.mark.usefixtures("cheap")
def test_the_table_says_what_was_left_out_and_where_the_weight_is_from(
    cooper: Cooper, data: Path
) -> None:
    done = cooper("evaluate", "ranking", "--data", data, "--weight", "0.7")
    assert done.code == 0
    assert "12 turns of 4 dialogues; left out: none" in done.out
    assert "0.7 (not tuned)" in " ".join(done.out.split())
    assert max(map(len, done.out.splitlines())) <= 80


def test_raw_data_is_annotated_first_unless_it_should_be_already(cooper: Cooper, raw: Path) -> None:
    assert cooper("evaluate", "ranking", "--data", raw, "--json").json()["turns"] == 2
    done = cooper("evaluate", "ranking", "--data", raw, "--annotated")
    done.fails("raw.txt is not annotated", "cooper annotate")


def test_a_checkpoint_without_prior_wants_training_data_or_gets_one(
    cooper: Cooper, data: Path, raw: Path, tmp_path: Path
) -> None:
    shipped = shipped_checkpoint(ESC)
    assert shipped is not None
    folder = shutil.copytree(shipped, tmp_path / "old")
    (folder / "prior.json").unlink()
    command = ("evaluate", "ranking", "--data", data, "--ranker", folder, "--json")
    cooper(*command).fails("no prior.json", "--train", "cooper evaluate prior")
    report = cooper(*command, "--train", raw).json()
    assert report["commonest_aspect"] == "exploration"
    assert report["similarity_weight"] == {"value": 0.3, "tuned": False}
    weight = cooper(*command, "--train", raw, "--valid", data).json()["similarity_weight"]
    assert (weight["tuned"], weight["measured_among_them"]) == (True, 4)
    assert (
        cooper("evaluate", "prior", "--train", raw, "--valid", data, "--ranker", folder).code == 0
    )
    assert cooper(*command).json()["commonest_aspect"] == "exploration"


def test_other_rankers_are_compared_by_name(cooper: Cooper, data: Path, tmp_path: Path) -> None:
    shipped = shipped_checkpoint(ESC)
    command = ("evaluate", "ranking", "--data", data, "--json")
    same = ("--without-progression", shipped, "--others", f"twin={shipped}")
    report = cooper(*command, *same).json()
    assert set(report["rankings"]) == LEARNT | {"evidence alone", "without progression", "twin"}
    assert report["rankings"]["twin"] == report["rankings"]["cooper"]
    assert set(report["p_values"]["without progression"].values()) == {1.0}
    for wrong in ("twin", "=x", "cooper=x"):
        assert cooper(*command, "--others", wrong).code == 2
    for weight in ("nan", "inf", "-1"):
        assert cooper(*command, "--weight", weight).code in (1, 2)
    cooper(*command, "--others", f"twin={tmp_path / 'none'}").fails("no checkpoint folder")
    assert cooper(*command, "--cache", tmp_path / "c").code == 2


@pytest.mark.usefixtures("cheap")
def test_turns_are_written_and_scores_of_another_program_compared(
    cooper: Cooper, data: Path, tmp_path: Path
) -> None:
    command = ("evaluate", "ranking", "--data", data, "--weight", "0.7", "--json")
    turns, best = tmp_path / "made" / "turns.jsonl", tmp_path / "best.jsonl"
    done = cooper(*command, "--turns", turns)
    assert f"wrote {turns}" in done.err
    rows = [json.loads(line) for line in turns.read_text("utf-8").splitlines()]
    assert len(rows) == done.json()["turns"] == 12
    hits = [row["rankings"]["cooper"]["hit@1"] for row in rows]
    assert sum(hits) / 12 == pytest.approx(done.json()["rankings"]["cooper"]["hit"][0])
    with best.open("w", encoding="utf-8") as file:
        for row in rows:
            labels = [candidate["label"] for candidate in row["candidates"]]
            place = {name: row[name] for name in ("dialogue", "index")}
            file.write(json.dumps({**place, "scores": labels}) + "\n")
    twice = ("--scores", f"best={best}", "--scores", f"again={best}")
    report = cooper(*command, *twice).json()
    assert report["rankings"]["best"]["hit"] == [1.0] * 5
    assert report["rankings"]["again"] == report["rankings"]["best"]
    assert set(report["p_holm"]) == set(report["p_values"]) >= {"best", "again"}


@pytest.mark.usefixtures("cheap")
def test_scores_and_turns_that_cannot_be_used_are_one_error_before_the_work(
    cooper: Cooper, data: Path, tmp_path: Path
) -> None:
    command = ("evaluate", "ranking", "--data", data, "--weight", "0.7", "--json")
    some = tmp_path / "some.jsonl"
    some.write_text('{"dialogue": "d0", "index": 1, "scores": [1, 2, 3, 4, 5, 6]}\n', "utf-8")
    cooper(*command, "--scores", f"some={some}").fails(
        "some.jsonl", "11 of the 12", "'d0', index 3"
    )
    cooper(*command, "--scores", f"mine={tmp_path / 'none'}").fails("none cannot be read")
    for name in ("cooper", "llm", "ground truth"):
        done = cooper(*command, "--scores", f"{name}={some}")
        assert done.code == 2
        assert "rename it" in done.err
    assert cooper(*command, "--scores", f"a={some}", "--scores", f"a={some}").code == 2
    assert cooper(*command, "--others", f"a={some}", "--scores", f"a={some}").code == 2
    assert cooper(*command, "--scores", str(some)).code == 2
    cooper(*command, "--turns", data).fails("annotated.jsonl already exists", "--turns")
    cooper(*command, "--turns", some / "turns.jsonl").fails("cannot be made")


def test_labels_by_another_encoder(
    cooper: Cooper, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best of each aspect changes; the ranking and its aspects stay."""

    class Other:
        """Finds that the real utterances, which have a colon, are about the weather."""

        def __init__(self, name: str) -> None:
            assert name == "other"

        def encode(self, texts: Sequence[str]) -> Any:
            near = np.array([":" in text or "weather" in text for text in texts], np.float32)
            return np.stack([near, 1 - near], axis=1)

    monkeypatch.setattr(load, "ranker_loader", lambda *_: FakeRanker)
    monkeypatch.setattr(encoder, "load_encoder", Other)
    command = ("evaluate", "ranking", "--data", data, "--weight", "0.7", "--json")
    own, other = cooper(*command).json(), cooper(*command, "--labels-encoder", "other").json()
    assert other["labels_encoder"] == "other"
    assert own["rankings"]["cooper"]["precision"] == other["rankings"]["cooper"]["precision"]
    assert own["rankings"]["cooper"]["hit"] != other["rankings"]["cooper"]["hit"]


# -- a language model's ranking ----------------------------------------------------------------


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer(lambda _: Reply("[2, 1, 3]")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-test")
        yield server


@pytest.mark.usefixtures("cheap")
def test_a_model_ranks_and_is_not_asked_twice(
    cooper: Cooper, data: Path, server: OpenAIServer, tmp_path: Path
) -> None:
    command = ("evaluate", "ranking", "--data", data, "--json", "--model", "tiny-model")
    command = (*command, "--cache", tmp_path / "answers.jsonl")
    first = cooper(*command)
    assert "12 calls of tiny-model: about " in first.err
    report = first.json()
    assert len(server.requests) == 12
    asked = [request.given for request in server.requests]  # in any order
    for about in SUBJECTS:
        assert sum(f"My {about} worries me." in given for given in asked) == 3
    assert all("2. exploration about the weather (exploration)" in given for given in asked)
    # Candidate 2 comes first, then 1, 3 and the rest as they stood: exploration, comforting, ...
    assert report["rankings"]["llm"]["precision"][0] == pytest.approx(1 / 3)
    assert "llm" in report["p_values"]
    again = cooper(*command)
    assert "0 calls of tiny-model" in again.err
    assert len(server.requests) == 12
    assert again.json()["rankings"] == report["rankings"]


@pytest.mark.usefixtures("cheap")
def test_a_run_that_broke_off_goes_on(
    cooper: Cooper, data: Path, server: OpenAIServer, tmp_path: Path
) -> None:
    cache = tmp_path / "answers.jsonl"
    command = ("evaluate", "ranking", "--data", data, "--json", "--model", "m", "--cache", cache)

    def reluctant() -> bool:
        return len(server.requests) % 2 == 0

    def tire(_: Request) -> Reply:
        return Reply("[1]") if len(server.requests) <= 5 else Reply(status=401)

    server.reply = tire
    cooper(*command, "--at-once", "1").fails("'m'", "OPENAI_API_KEY")
    assert len(cache.read_text("utf-8").splitlines()) == 5
    with cache.open("a") as file:
        file.write('{"turn": "half')  # as a kill leaves it
    server.reply = lambda _: Reply("no idea", finish="content_filter" if reluctant() else "stop")
    before = len(server.requests)
    done = cooper(*command)
    assert done.json()["turns"] == 12
    assert len(server.requests) - before == 7
    assert "named no order in 7 of 12" in done.err


@pytest.mark.usefixtures("cheap")
def test_a_dead_endpoint_and_a_foreign_cache_are_one_error(
    cooper: Cooper, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    command = ("evaluate", "ranking", "--data", data, "--json", "--model", "m")
    cooper(*command).fails("'m'", "cannot be reached")
    diary = tmp_path / "diary.txt"
    diary.write_text("dear diary", "utf-8")
    cooper(*command, "--cache", diary).fails("diary.txt holds something else")
    assert diary.read_text("utf-8") == "dear diary"
    monkeypatch.delenv("OPENAI_BASE_URL")
    cooper(*command).fails("OPENAI_API_KEY")


class Named(FakeListChatModel):
    """Another package's model, which has a name."""

    model: str = ""


def test_the_folder_of_a_cache_is_made_before_a_model_is_asked(tmp_path: Path) -> None:
    measured = MeasuredTurns.label([dialogue(0)], ESC, FakeRanker().embed)
    model = Named(model="one", responses=["[1, 2, 3]"])
    cache = tmp_path / "new" / "answers.jsonl"
    asyncio.run(LlmRanking(measured, model, cache).ask())
    assert cache.read_text("utf-8").count("order") == 3
    file = tmp_path / "file"
    file.write_text("", "utf-8")
    with pytest.raises(DataError, match="file cannot be made"):
        LlmRanking(measured, model, file / "answers.jsonl")


def test_answers_of_models_of_one_class_are_kept_apart(tmp_path: Path) -> None:
    measured = MeasuredTurns.label([dialogue(0)], ESC, FakeRanker().embed)
    cache = tmp_path / "answers.jsonl"

    def ranking(name: str, answer: str = "[2, 1, 3]") -> LlmRanking:
        return LlmRanking(measured, Named(model=name, responses=[answer]), cache)

    asyncio.run(ranking("one").ask())
    assert ranking("one").cost().calls == 0
    other = ranking("two", "[3, 1, 2]")
    assert other.cost().calls == 3
    asyncio.run(other.ask())
    assert [int(scores.argmax()) for scores in other.scores()] == [2, 2, 2]
    assert [int(scores.argmax()) for scores in ranking("one").scores()] == [1, 1, 1]
    with pytest.raises(DataError, match="a Named has no name"):
        ranking("")


# -- figures -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("cheap")
def test_figures_of_an_evaluation(cooper: Cooper, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    done = cooper("evaluate", "ranking", "--data", data, "--json", "--figures", folder)
    assert done.json() == json.loads((folder / "report.json").read_text("utf-8"))
    for name in ("ranking", "rounds"):
        image = (folder / f"{name}.png").read_bytes()
        assert image.startswith(b"\x89PNG")
        assert len(image) < 100_000
    again = tmp_path / "again"
    drawn = cooper("plot", "ranking", folder / "report.json", "--output", again)
    assert drawn.code == 0
    assert (again / "ranking.png").read_bytes() == (folder / "ranking.png").read_bytes()


def test_figures_of_a_run(cooper: Cooper, tmp_path: Path) -> None:
    shipped = shipped_checkpoint(ESC)
    assert shipped is not None
    for form, begin in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        assert cooper("plot", "training", shipped, "--output", tmp_path, "--form", form).code == 0
        assert (tmp_path / f"training.{form}").read_bytes().startswith(begin)
    text = (tmp_path / "training.svg").read_text("utf-8")
    assert "<!-- hit@3 -->" in text


def test_figures_of_target_states(cooper: Cooper, data: Path, tmp_path: Path) -> None:
    targets = ("plot", "targets", data, "--output", tmp_path, "--form", "svg")
    assert cooper(*targets, "--clusters", "2", "4", "--paths", "2").code == 0
    silhouettes = (tmp_path / "silhouettes.svg").read_text("utf-8")
    states = (tmp_path / "states.svg").read_text("utf-8")
    for name in ESC.aspect_names:
        assert f"<!-- {name} (k = " in silhouettes
        assert f"<!-- {name} -->" in states


def test_what_cannot_be_drawn_is_one_error(cooper: Cooper, data: Path, raw: Path, tmp_path) -> None:
    cooper("plot", "ranking", data, "--output", tmp_path).fails("annotated.jsonl, line 2: not JSON")
    other = tmp_path / "other.json"
    other.write_text('{"turns": 3}', "utf-8")
    cooper("plot", "ranking", other, "--output", tmp_path).fails("not a report")
    other.write_text("[" * 100_000, "utf-8")
    cooper("plot", "ranking", other, "--output", tmp_path).fails("nested too deep")
    cooper("plot", "training", data, "--output", tmp_path).fails("no training steps")
    odd = tmp_path / "odd.jsonl"
    odd.write_text('{"kind": "step", "step": "x", "loss": null}\n', "utf-8")
    cooper("plot", "training", odd, "--output", tmp_path).fails("no training steps")
    cooper("plot", "training", tmp_path, "--output", tmp_path).fails("training_log.jsonl")
    cooper("plot", "targets", raw, "--output", tmp_path).fails("not annotated")
    cooper("plot", "targets", data, "--output", other / "x").fails("cannot be made")
    command = ("evaluate", "ranking", "--data", data, "--figures", other / "x")
    cooper(*command).fails("cannot be made")
