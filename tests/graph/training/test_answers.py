"""The cross-encoder of prepared answers learns, and is written, read again and stacked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("peft")

from langgraph_cooper.graph.training.adapting import write_pair_model
from langgraph_cooper.graph.training.answers import (
    fit_stacking,
    prepared_among,
    read_all,
    train_cross_encoder,
)
from langgraph_cooper.graph.training.graded import Graded, read_graded
from langgraph_cooper.nodes.offline.answers import Answers
from langgraph_cooper.nodes.offline.cross_encoder import CrossEncoderForm, read_cross_encoder
from langgraph_cooper.nodes.offline.fitting import Stacking
from langgraph_cooper.nodes.pairs.form import Floats
from langgraph_cooper.nodes.pairs.model import PairModel
from langgraph_cooper.prompts import Answer, TaskSpec, load_task
from langgraph_cooper.ranker.data.dialogue import DataError
from tests.support.rankers import embed

Model = PairModel[CrossEncoderForm]

STACKING = Stacking(bias=-1.0, chance=0.5, acceptable=1.0, good=0.25)
VET, GLAD = "What does the vet say?", "That is wonderful news."
ILL = [f"My {pet} is ill." for pet in ("dog", "cat", "horse", "bird")]
WELL = [f"I won a {thing}!" for thing in ("prize", "race", "medal", "cup")]


def graded(said: str, grades: str, **more: str) -> Graded:
    fields = {"task": "esc", "source": "writer", "dialogue": said, **more}
    return Graded(said=said, replies=(VET, GLAD), grades=grades, **fields)


LEARNT = [graded(said, "20") for said in ILL] + [graded(said, "01") for said in WELL]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    run = tmp_path_factory.mktemp("run")
    return train_cross_encoder(LEARNT, run, epochs=25, rate=3e-3)


def test_it_learns_which_reply_fits(model: Model) -> None:
    for each, odds in zip(LEARNT, read_all(model, LEARNT), strict=True):
        fits = odds[:, 0] > 0
        assert fits.tolist() == [grade != "0" for grade in each.grades]
    good = [odds[:, 1].max() for odds in read_all(model, LEARNT)]
    assert min(good[: len(ILL)]) > max(good[len(ILL) :])  # the vet is good, the news acceptable


def test_it_reads_the_same_after_writing(model: Model, tmp_path: Path) -> None:
    form = write_pair_model(model, tmp_path, stacking=STACKING)
    assert (form.tasks, form.stacking) == (("esc",), STACKING)
    read = read_cross_encoder(tmp_path)
    assert read.form == form
    for each, odds in zip(LEARNT, read_all(model, LEARNT), strict=True):
        assert read.read(each.pairs) == pytest.approx(odds, abs=0.2)  # in bfloat16
    assert read.read([]).shape == (0, 2)


def pet_task() -> TaskSpec:
    pet = Answer(
        topic="Ask about the pet.", strategy="Question", heard=tuple(ILL), say=(VET, "Oh.")
    )
    return load_task("esc").model_copy(update={"answers": (pet,)})


def test_prepared_answers_are_weighed_and_other_replies_are_not() -> None:
    answers = {"esc": Answers(pet_task(), embed)}
    held = [graded(said, "10", dialogue=str(number % 6)) for number, said in enumerate(ILL * 3)]
    held += [graded(said, "01", dialogue=str(number % 6)) for number, said in enumerate(ILL * 3)]
    read = [np.full((2, 2), number, np.float32) for number in range(len(held))]
    found = prepared_among(held, read, answers)
    assert found.read[:, 0].tolist() == list(range(len(held)))  # the news is no prepared answer
    assert found.accepted.tolist() == [True] * 12 + [False] * 12
    assert set(found.dialogues.tolist()) == set(range(6))
    chance = answers["esc"].chances(ILL[0])[0][1]
    assert found.chances[0] == pytest.approx(chance)
    for few in (held[:12], held[:1] + held[12:13]):  # all alike; too few conversations
        with pytest.raises(DataError, match="cannot be learnt"):
            prepared_among(few, read[: len(few)], answers)


def test_the_stacking_follows_what_tells_accepted_answers_from_others() -> None:
    rng = np.random.default_rng(1)
    accepted = rng.random(400) < 0.5
    read = np.column_stack([accepted * 2 - 1 + rng.normal(size=400), rng.normal(size=400)])
    chances = np.clip(0.3 + 0.2 * accepted + 0.1 * rng.normal(size=400), 0.05, 0.95)
    answers = Answers(pet_task(), embed)
    held = [
        graded(ILL[0], str(int(one)) * 2, dialogue=str(n // 8)) for n, one in enumerate(accepted)
    ]
    found = prepared_among(held, [row[None].repeat(2, 0).astype(np.float32) for row in read],
                    {"esc": answers})  # fmt: skip
    stacking, areas = fit_stacking(found._replace(chances=chances.astype(np.float32)))
    assert stacking.acceptable > 0.5
    assert stacking.chance > 0.5
    assert abs(stacking.good) < 0.3
    assert areas["both"] > max(areas["regression"], areas["cross-encoder"])
    sure: Floats = stacking.probable([0.5, 0.2], np.array([[2, 0], [-2, 0]], np.float32))
    assert sure[0] > 0.8
    assert sure[1] < 0.2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"task": "esc"}', "source"),
        ('{"task": "esc", "source": "a", "dialogue": "b", "said": "c", "replies": ["d"], '
         '"grades": "01"}', "line 1: 1 replies have 2 grades"),
        ('{"task": "esc", "source": "a", "dialogue": "b", "said": "c", "replies": ["d"], '
         '"grades": "7"}', "grades"),
        ("", "holds no graded replies"),
    ],
)  # fmt: skip
def test_a_malformed_line_is_named(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "graded.jsonl"
    file.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=told) as caught:
        read_graded(file)
    assert str(file) in str(caught.value)
