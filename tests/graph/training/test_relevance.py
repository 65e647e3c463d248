"""The model of relevance learns what answers what, and is written and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from langgraph_cooper.graph.training.relevance import (
    Pool,
    PoolMaker,
    figures,
    train_relevance,
    write_relevance,
)
from langgraph_cooper.nodes.finetuned.relevance import (
    MEASURES,
    SHIPPED,
    RelevanceError,
    RelevanceModel,
    measures,
    read_relevance,
)
from langgraph_cooper.nodes.finetuned.relevance import Heard as HeardTurn
from langgraph_cooper.ranker.data.dialogue import DataError, Dialogue, LabelledUtterance, Utterance
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER
from tests.support.rankers import embed

THINGS = ["garden", "violin", "kitchen", "harbour", "lecture", "marathon", "teacher", "bakery"]


def dialogue(number: int) -> Dialogue:
    """A conversation whose replies name what the user has just named."""
    turns = []
    for i in range(4):
        thing = THINGS[(number + i) % len(THINGS)]
        turns.append(LabelledUtterance(speaker="user", text=f"Today the {thing} was closed."))
        turns.append(LabelledUtterance(speaker="system", text=f"Why was {thing} closed, {i}?"))
    return Dialogue(id=str(number), utterances=tuple(turns))


@pytest.fixture(scope="module")
def pools() -> list[Pool]:
    dialogues = [dialogue(number) for number in range(24)]
    return PoolMaker(dialogues, embed, 1).pools(dialogues)


@pytest.fixture(scope="module")
def weights(pools: list[Pool]) -> dict[str, np.ndarray]:
    return train_relevance(pools, pools[:20], epochs=6)


def test_it_learns_and_scores_the_same_after_writing(
    pools: list[Pool], weights: dict[str, np.ndarray], tmp_path: Path
) -> None:
    write_relevance(weights, tmp_path, "esc", DEFAULT_ENCODER)
    model = read_relevance(tmp_path, embed)
    found = [model.head(*pool) for pool in pools]
    assert figures(found).auc > 0.9
    said = [Utterance("user", "Today the garden was closed.")]
    good, bad = model.score(said, ["Why was garden closed, 0?", "Why was bakery closed, 1?"])
    assert good > bad
    assert model.score(said, []).shape == (0,)


def test_the_pools_hold_the_reply_first_and_never_again(pools: list[Pool]) -> None:
    maker = PoolMaker([dialogue(number) for number in range(9)], embed, 3)
    drawn = maker.draw(dialogue(0), 3, others=5, own=2, generic=1)
    assert len(drawn) == 9
    assert drawn[0] == "Why was violin closed, 1?"
    assert drawn[0] not in drawn[1:]
    assert all(pool.measured.shape == (16, len(MEASURES)) for pool in pools)
    with pytest.raises(DataError, match="two conversations"):
        PoolMaker([dialogue(0)], embed)


def of_replies(name: str, *replies: str) -> Dialogue:
    """A conversation with these replies of the system."""
    said = [LabelledUtterance(speaker="user", text=f"{name}, 0")]
    for number, reply in enumerate(replies, start=1):
        said.append(LabelledUtterance(speaker="system", text=reply))
        said.append(LabelledUtterance(speaker="user", text=f"{name}, {number}"))
    return Dialogue(id=name, utterances=tuple(said))


def test_a_reply_that_is_a_generic_one_is_not_its_own_negative() -> None:
    talks = [of_replies(name, "I see.", f"What about {name}?") for name in "abcd"]
    maker = PoolMaker(talks, embed, 1)
    for _ in range(20):
        drawn = maker.draw(talks[0], 1, others=1, own=1, generic=3)
        assert len(drawn) == 6
        assert drawn[0] == "I see."
        assert drawn.count("I see.") == 1


def test_replies_that_are_all_the_same_are_refused() -> None:
    talks = [of_replies(name, "I see.", "Go on.") for name in "ab"]
    maker = PoolMaker(talks, embed, 1)
    with pytest.raises(DataError, match="'a' has every reply of the others"):
        maker.pools(talks)


def test_figures_worked_out_by_hand() -> None:
    scores = [np.array([2.0, 1.0, 3.0]), np.array([5.0, 5.0, 1.0])]
    assert figures(scores) == pytest.approx((0.5 * (1 / 2) + 0.5 * (1.5 / 2), 0.0, 1.75))
    assert figures([np.array([2.0, 1.0])]) == (1.0, 1.0, 1.0)


def test_words_that_were_heard_are_counted() -> None:
    heard = HeardTurn([Utterance("user", "The garden and the violin?")], embed)
    replies = ["Which garden is it?", "Bananas."]
    found = measures(heard, replies, embed(replies))
    names = dict(zip(MEASURES, found.T, strict=True))
    assert names["share of the user's content words taken up"].tolist() == [0.5, 0.0]
    assert names["the reply asks"].tolist() == [1.0, 0.0]
    assert names["the user asks"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("spoil", ["missing", "cut", "other weights", "no configuration"])
def test_a_damaged_model_is_named(
    weights: dict[str, np.ndarray], tmp_path: Path, spoil: str
) -> None:
    write_relevance(weights, tmp_path, "esc", DEFAULT_ENCODER)
    file, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    data = file.read_bytes()
    if spoil == "missing":
        file.unlink()
    elif spoil == "no configuration":
        config.write_text("{}", encoding="utf-8")
    else:
        file.write_bytes(data[:100] if spoil == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(RelevanceError, match=r"the model of relevance in .* train relevance"):
        read_relevance(tmp_path, embed)


@pytest.mark.parametrize("task", ["esc", "persuasion"])
def test_the_shipped_models_are_small_and_whole(task: str) -> None:
    model = read_relevance(SHIPPED / task, embed)
    assert isinstance(model, RelevanceModel)
    assert model.config.task == task
    assert sum(file.stat().st_size for file in (SHIPPED / task).iterdir()) < 500_000
    assert (SHIPPED / task / "README.md").is_file()
