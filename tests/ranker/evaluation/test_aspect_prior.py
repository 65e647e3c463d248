"""P(aspect | round): counted, smoothed, tuned, kept beside a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from langgraph_cooper.prompts import TaskSpec, load_task
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, DataError, fingerprint
from langgraph_cooper.ranker.data.labels import LabelledTurn, label_turns
from langgraph_cooper.ranker.evaluation.aspect_prior import (
    AspectPrior,
    PromotedTurn,
    fit_aspect_prior,
    load_prior,
    promoted_turns,
)
from langgraph_cooper.ranker.evaluation.baselines import similarity_scores
from langgraph_cooper.ranker.evaluation.metrics import measure
from langgraph_cooper.ranker.load import shipped_checkpoint
from langgraph_cooper.ranker.model.checkpoint import CheckpointError
from tests.ranker.toys import encode, toy_dialogues, toy_task


@pytest.fixture
def task() -> TaskSpec:
    return toy_task(load_task("esc").prompts)


@pytest.fixture
def dialogues() -> list[AnnotatedDialogue]:
    return toy_dialogues(20)


@pytest.fixture
def turns(dialogues: list[AnnotatedDialogue], task: TaskSpec) -> list[LabelledTurn]:
    return label_turns(dialogues, task, encode).turns


def promoting(number: int, *aspects: str) -> PromotedTurn:
    return PromotedTurn(number, frozenset(aspects))


def test_it_knows_the_rounds(
    turns: list[LabelledTurn], dialogues: list[AnnotatedDialogue], task: TaskSpec
) -> None:
    prior = AspectPrior.count(promoted_turns(dialogues, task), smoothing=0.0)
    assert prior.probability("explore", 1) == 1.0
    assert prior.probability("explore", 2) == 0.0
    assert prior.probability("explore", 99) == pytest.approx(1 / 3)
    assert prior.probability("passive", 1) == 0.0
    scores = prior.scores(turns, similarity_scores(turns, dialogues, encode))
    assert measure(turns, scores).means()["precision@1"] == 1.0


def test_late_rounds_count_as_one_and_an_utterance_may_promote_several() -> None:
    late = [promoting(15, "act"), promoting(40, "act", "comfort")]
    prior = AspectPrior.count([promoting(1, "explore"), *late], smoothing=0.0)
    assert prior.probability("act", 15) == prior.probability("act", 77) == 1.0
    assert prior.probability("comfort", 30) == 0.5


def test_smoothing_pulls_towards_the_overall_share(turns: list[LabelledTurn]) -> None:
    prior = AspectPrior.count(turns, smoothing=20.0)  # 20 turns in each round
    assert prior.probability("explore", 1) == pytest.approx((20 + 20 / 3) / 40)


def test_commonest_aspect() -> None:
    train = [promoting(1, "explore"), promoting(2, "act"), promoting(3, "act", "comfort")]
    assert AspectPrior.count(train).majority_aspect == "act"


def test_the_weight_is_tuned(dialogues: list[AnnotatedDialogue], task: TaskSpec) -> None:
    counted = AspectPrior.count(promoted_turns(dialogues, task))
    prior = counted.tuned(dialogues, task, encode, weights=(50.0, 0.3))
    assert prior.weight == 0.3  # with 50 the similarity drowns the prior
    assert prior.tuning is not None
    assert prior.tuning.figures[0.3] > prior.tuning.figures[50.0]
    assert prior.tuning.turns == 60
    assert set(prior.tuning.dialogues) == {fingerprint(dialogue) for dialogue in dialogues}


def test_it_comes_back_from_its_file_without_any_text(
    tmp_path: Path, dialogues: list[AnnotatedDialogue], task: TaskSpec
) -> None:
    prior = fit_aspect_prior(dialogues, dialogues[:5], task, encode)
    prior.save(tmp_path)
    assert load_prior(tmp_path, task) == prior
    text = (tmp_path / "prior.json").read_text("utf-8")
    assert "sleep" not in text
    assert "Question" not in text


def test_a_prior_that_is_missing_damaged_or_of_another_task_is_one_error(
    tmp_path: Path, dialogues: list[AnnotatedDialogue], task: TaskSpec
) -> None:
    with pytest.raises(CheckpointError, match=r"no prior.json .*--train"):
        load_prior(tmp_path, task)
    AspectPrior.count(promoted_turns(dialogues, task)).save(tmp_path)
    with pytest.raises(CheckpointError, match="'act', which the task 'esc'"):
        load_prior(tmp_path, load_task("esc"))
    for damaged in ('{"rounds": ', '{"rounds": {}}', '{"rounds": {}, "weight": NaN}'):
        (tmp_path / "prior.json").write_text(damaged, "utf-8")
        with pytest.raises(CheckpointError, match="damaged"):
            load_prior(tmp_path, task)


def test_nothing_to_count_or_to_tune_on_is_an_error(
    dialogues: list[AnnotatedDialogue], task: TaskSpec
) -> None:
    with pytest.raises(DataError, match="check the task"):
        AspectPrior.count(promoted_turns(dialogues, load_task("persuasion")))
    bare = [dialogue.model_copy(update={"turns": ()}) for dialogue in dialogues]
    with pytest.raises(DataError, match="cannot be tuned"):
        fit_aspect_prior(dialogues, bare, task, encode)


@pytest.mark.parametrize("name", ["esc", "persuasion"])
def test_shipped_checkpoints_have_a_tuned_prior(name: str) -> None:
    task = load_task(name)
    folder = shipped_checkpoint(task)
    assert folder is not None
    prior = load_prior(folder, task)
    assert prior.tuning is not None
    assert prior.majority_aspect in task.aspect_names
    first, last = task.aspect_names[0], task.aspect_names[-1]
    assert prior.probability(first, 1) > prior.probability(first, 9)
    assert prior.probability(last, 1) < prior.probability(last, 9)
