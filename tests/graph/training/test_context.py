"""The context model learns what earlier words explain; its threshold gives up no more than told."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft")

from langgraph_cooper.graph.training.adapting import write_pair_model
from langgraph_cooper.graph.training.context import (
    Kept,
    add_pool,
    after_others,
    check_kept,
    choose_concern,
    contexts_of,
    harmless_examples,
    pooled,
    talk_examples,
)
from langgraph_cooper.graph.training.lines import Line, line_examples
from langgraph_cooper.graph.training.pairs import train_pair_model
from langgraph_cooper.graph.training.talks import Said, Talk
from langgraph_cooper.nodes.crisis.classifier import SHIPPED, read_classifier
from langgraph_cooper.nodes.crisis.context import ContextForm, Pool, read_context_model
from langgraph_cooper.nodes.crisis.course import Finding
from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.nodes.pairs.model import PairModel
from langgraph_cooper.ranker.data.dialogue import DataError

HURT = "He pushed me against the wall and took my phone away again"
PETS = ["We got a goat", "Our goat came on Monday", "I have a young goat now", "The goat is huge"]
HUSBANDS = ["My husband drinks", "We argue a lot", "My husband is jealous", "He lost his job"]
LINES = [
    Line("w1", "+", "suicide", "plain", "I want to kill myself tonight"),
    Line("w1", "-", "other", "trap", "I could murder a curry"),
]
REAL = [["Hello there, friend.", "It rained all day."]]
TALKS = [
    *(Talk("a", "harmless", "", [Said("-", before), Said("-", HURT)]) for before in PETS),
    *(Talk("a", "crisis", "danger", [Said("-", before), Said("+", HURT)]) for before in HUSBANDS),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PairModel[ContextForm]:
    """A model that learnt from the few conversations."""
    run = tmp_path_factory.mktemp("context") / "run"
    return train_pair_model(ContextForm(), talk_examples(TALKS), run, epochs=25)


def test_it_learns_what_was_said_before_and_is_read_again(
    model: PairModel[ContextForm], tmp_path: Path
) -> None:
    pool = Pool(classifier_sha256="a", share=0.6)
    form = write_pair_model(model, tmp_path, pools=(pool,))
    reader = read_context_model(tmp_path)
    assert reader.form == form
    assert form.pool_with("a") == pool
    assert form.pool_with("b") is None
    explained = reader.read([Pair(before, HURT) for before in PETS])
    meant = reader.read([Pair(before, HURT) for before in HUSBANDS])
    assert explained.max() < 0 < meant.min()


def test_what_the_phrases_find_is_not_taken_for_harmless() -> None:
    said = [["Hello.", "I want to kill myself.", "It rained."]]
    learnt = harmless_examples(said, 0.5)
    assert [each.pair for each in learnt] == [
        Pair("", "Hello."),
        Pair("Hello. / I want to kill myself.", "It rained."),
    ]
    assert {(each.target, each.weight) for each in learnt} == {(0.0, 0.5)}
    assert contexts_of(said) == ["Hello.", "Hello. / I want to kill myself."]


def test_single_lines_come_after_words_that_explain_nothing() -> None:
    lines = [Line("w01", "+", "suicide", "hint", f"line {number}") for number in range(100)]
    learnt = after_others(line_examples(lines), ["It rained."], random.Random(1))
    assert [each.pair.second for each in learnt] == [line.text for line in lines]
    assert 30 < sum(each.pair.first == "It rained." for each in learnt) < 70
    assert {each.pair.first for each in learnt} == {"", "It rained."}


def test_weight_and_thresholds_are_chosen_on_what_was_not_learnt_from(
    model: PairModel[ContextForm], tmp_path: Path
) -> None:
    write_pair_model(model, tmp_path)
    reader = read_context_model(tmp_path)
    pool = pooled(reader, Kept(TALKS * 9, LINES, REAL))
    assert 0 < pool.share <= 1
    assert pool.classifier_sha256
    # The highest threshold that keeps what the classifier finds keeps each of these messages.
    reader.form = reader.form.model_copy(update={"pools": (pool,)})
    both = read_classifier(SHIPPED, reader)
    odds = [both.odds(HURT, [before]) for before in HUSBANDS]
    assert min(odds) == pytest.approx(pool.concern, abs=1e-3)
    # The classifier alone gives the same odds to the same words, whatever was said before.
    assert min(odds) > max(both.odds(HURT, [before]) for before in PETS)


def test_a_pool_is_added_for_one_more_classifier(
    model: PairModel[ContextForm], tmp_path: Path
) -> None:
    first, again, other = (
        Pool(classifier_sha256=name, share=share)
        for name, share in (("a", 0.1), ("a", 0.2), ("b", 0.3))
    )
    write_pair_model(model, tmp_path, pools=(first,))
    add_pool(tmp_path, other)
    add_pool(tmp_path, again)
    assert set(read_context_model(tmp_path).form.pools) == {again, other}


class FakeClassifier:
    """Finds what has an exclamation mark; its log-odds are a message's number."""

    def read(self, text: str) -> Finding:
        return Finding("concern" if "!" in text else "none")

    def odds(self, text: str, said: Sequence[str]) -> float:
        return float(text.rsplit(maxsplit=1)[-1])


@pytest.mark.parametrize(("lost", "least"), [(0.0, 7.0), (0.3, 8.0), (0.9, 10.0)])
def test_about_as_much_is_found_as_by_the_classifier_alone(lost: float, least: float) -> None:
    said = [
        Said("+", f"is this long enough for it{'!' * (number < 4)} {number}")
        for number in range(11)
    ]
    said += [Said("-", "is this long enough for it! 99"), Said("+", "short! 99")]
    said += [Said("+", "I want to kill myself! 99")]
    talk = Talk("a", "crisis", "suicide", [Said("+", "the first message! 99"), *said])
    fake: Any = FakeClassifier()
    # Four are found by the classifier: of all that call for a question the four highest count.
    assert choose_concern(fake, fake, [talk], lost) == least
    with pytest.raises(DataError, match="finds no crisis"):
        choose_concern(fake, fake, [talk._replace(said=talk.said[:1])], lost)


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (Kept(TALKS[:4], LINES, REAL), "--talks-chosen-on"),
        (Kept(TALKS, LINES[:1], REAL), "no trap"),
        (Kept(TALKS, LINES[1:], REAL), "--lines-chosen-on"),
        (Kept(TALKS, LINES, []), "four real conversations"),
    ],
)
def test_what_nothing_can_be_chosen_on_is_refused(kept: Kept, told: str) -> None:
    check_kept(Kept(TALKS, LINES, REAL))
    with pytest.raises(DataError, match=told):
        check_kept(kept)
