"""A message is read together with what was said before it; without the model by itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from langgraph_cooper.nodes.crisis import context, reading
from langgraph_cooper.nodes.crisis.classifier import SHIPPED, CrisisClassifier, read_classifier
from langgraph_cooper.nodes.crisis.context import ContextForm, Pool, in_context
from langgraph_cooper.nodes.crisis.reading import read_meaning, readers
from langgraph_cooper.nodes.pairs.form import Floats, Pair
from langgraph_cooper.nodes.pairs.model import PairError
from langgraph_cooper.prompts import GuardSettings

JUDO = ["we do judo on mondays", "my partner is a heavyweight"]
EX = ["my ex was waiting at my door last night"]
PINNED = "he pinned me down and i could hardly breathe"


class FakeContextModel:
    """Gives each pair the log-odds 2 for each earlier message but the first, or -2 without any."""

    def __init__(self, concern: float = -50.0, belongs: str = "") -> None:
        belongs = belongs or shipped().config.weights_sha256
        pool = Pool(classifier_sha256=belongs, share=0.25, certain=50.0, concern=concern)
        self.form = ContextForm(pools=(pool,))
        self.read_pairs: list[Pair] = []

    def read(self, pairs: Sequence[Pair]) -> Floats:
        self.read_pairs += pairs
        odds = [2.0 * pair.first.count(" / ") if pair.first else -2.0 for pair in pairs]
        return np.array(odds, np.float32)[:, None]


@pytest.fixture
def forgotten() -> Iterator[None]:
    """No classifier was loaded."""
    reading.shipped_classifier.forget()
    yield
    reading.shipped_classifier.forget()


def shipped() -> CrisisClassifier:
    classifier = reading.shipped_classifier()
    assert classifier is not None
    return classifier


def test_what_was_said_before_explains_a_message_or_makes_it_graver() -> None:
    assert read_meaning(PINNED, JUDO).tier == "none"
    assert read_meaning(PINNED, EX).tier != "none"
    classifier = shipped()
    assert classifier.odds(PINNED, JUDO) + 1 < classifier.odds(PINNED, EX)


def test_once_a_crisis_is_feared_each_message_is_read_by_itself() -> None:
    later = readers(GuardSettings()).later
    assert later(PINNED, JUDO) == later(PINNED, EX) == read_meaning(PINNED)


def test_the_last_six_messages_are_read() -> None:
    said = [str(number) for number in range(9)]
    assert in_context(said, "Well.") == Pair("3 / 4 / 5 / 6 / 7 / 8", "Well.")
    assert in_context([], "Well.") == Pair("", "Well.")


def test_the_log_odds_of_both_models_are_pooled() -> None:
    model = FakeContextModel()
    pooled = CrisisClassifier(shipped()._model, model)  # type: ignore[arg-type]
    alone = read_classifier(SHIPPED).odds(PINNED)
    assert pooled.odds(PINNED) == pytest.approx(0.75 * alone - 0.25 * 2)
    assert pooled.odds(PINNED, JUDO) == pytest.approx(0.75 * alone + 0.25 * 2)
    assert len(model.read_pairs) == 2
    assert pooled.read(PINNED, JUDO).tier == "concern"  # by the thresholds of the pooled log-odds
    assert pooled.odds(PINNED, JUDO) == pytest.approx(0.75 * alone + 0.25 * 2)
    assert len(model.read_pairs) == 2  # remembered


def test_what_a_phrase_says_is_not_explained_away() -> None:
    phrase, explained = "I want to kill myself", "I dropped the cake"

    class Explaining(FakeContextModel):
        def read(self, pairs: Sequence[Pair]) -> Floats:
            self.read_pairs += pairs
            return np.array([[-90.0 if pair.first else 0.0] for pair in pairs], np.float32)

    pooled = CrisisClassifier(shipped()._model, Explaining(concern=-3.0))  # type: ignore[arg-type]
    assert pooled.odds(phrase, [explained]) < -10
    assert pooled.read(phrase, [explained]) == read_meaning(phrase)
    assert pooled.read(PINNED, [explained]).tier == "none"


def test_a_mere_disagreement_of_the_models_clears_nothing() -> None:
    """What the classifier finds is given up only where the words before lower the odds."""

    class Doubting(FakeContextModel):
        def read(self, pairs: Sequence[Pair]) -> Floats:
            return np.array([[-40.0 - 4.0 * ("but" in pair.first)] for pair in pairs], np.float32)

    pooled = CrisisClassifier(shipped()._model, Doubting(concern=-3.0))  # type: ignore[arg-type]
    assert pooled.read(PINNED, ["I had soup."]) == read_meaning(PINNED)
    assert pooled.read(PINNED, ["I had soup, but cold."]) == read_meaning(PINNED)

    class Explaining(FakeContextModel):
        def read(self, pairs: Sequence[Pair]) -> Floats:
            return np.array([[-40.0 - 9.0 * ("but" in pair.first)] for pair in pairs], np.float32)

    pooled = CrisisClassifier(shipped()._model, Explaining(concern=-3.0))  # type: ignore[arg-type]
    assert pooled.read(PINNED, ["I had soup, but cold."]).tier == "none"


@pytest.mark.parametrize(
    "talk",
    [
        "had soup for lunch / i wnat ot dei",
        "I do judo twice a week / my sparring partner pinned me down / at home my boyfriend pins "
        "me down too, I can't breathe and he laughs",
    ],
)
def test_small_talk_hides_no_crisis(talk: str) -> None:
    *said, text = talk.split(" / ")
    assert read_meaning(text, said).tier != "none"


def test_pictures_hide_no_word() -> None:
    model = FakeContextModel()
    pooled = CrisisClassifier(shipped()._model, model)  # type: ignore[arg-type]
    pooled.odds("I want to die\U0001f494 tonight", ["Goodbye\U0001f64f", "Well."])
    assert model.read_pairs == [Pair("Goodbye  / Well.", "I want to die  tonight")]


def test_a_model_for_another_classifier_is_not_pooled(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = read_classifier(SHIPPED, FakeContextModel(belongs="x"))  # type: ignore[arg-type]
    assert found.thresholds is found.config
    assert "belongs to another classifier" in caplog.text


def test_of_a_denial_only_the_rest_is_read_in_context() -> None:
    model = FakeContextModel()
    pooled = CrisisClassifier(shipped()._model, model)  # type: ignore[arg-type]
    assert pooled.read("I never think of hurting myself.", JUDO).tier == "none"
    pooled.read("I never think of hurting myself. My cat is old.", JUDO)
    assert model.read_pairs[-1] == in_context(JUDO, "My cat is old")


@pytest.mark.usefixtures("forgotten")
def test_without_the_context_model_each_message_is_read_by_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read(_: Path) -> None:
        raise PairError("it is damaged")

    monkeypatch.setattr(context, "read_context_model", read)
    with caplog.at_level(logging.WARNING):
        assert read_meaning(PINNED, JUDO) == read_meaning(PINNED, EX)
        assert shipped().thresholds is shipped().config
        assert shipped().odds(PINNED, JUDO) == shipped().odds(PINNED)
    assert caplog.text.count("it is damaged") == 1
    assert "reads each message by itself" in caplog.text
