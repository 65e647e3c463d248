"""The shipped classifier reads what the phrases do not know, and believes plain denials."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from torch import Tensor

from langgraph_cooper.graph import create_cooper
from langgraph_cooper.nodes.crisis import reading
from langgraph_cooper.nodes.crisis.course import Tier
from langgraph_cooper.nodes.crisis.phrases import crisis_kind
from langgraph_cooper.nodes.crisis.reading import read_meaning, readers
from langgraph_cooper.prompts import CooperError, GuardSettings
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER
from tests.faults.corpus import CRISIS, DRESSED, ENGLISH
from tests.ranker.tiny import save_tiny


def test_the_shipped_classifier_is_there() -> None:
    assert reading.shipped_reader() is not reading.read_phrases


@pytest.mark.parametrize(
    "text",
    [
        "I have written letters to my kids and put them in the drawer for after",
        "he pushed me down the stairs and took my phone so i can't call anybody",
        "my best friend wrote that we will not see each other again and she does not pick up",
    ],
)
def test_it_reads_what_no_phrase_knows(text: str) -> None:
    assert crisis_kind(text) is None
    assert read_meaning(text).tier != "none"


@pytest.mark.parametrize(
    "text",
    [
        "I lost my job and I feel low.",
        "I never think of hurting myself.",
        "No I don't want to die, I just feel terrible.",
        "My boss is mean and I am tired of it.",
        "hello",
        "",
    ],
)
def test_ordinary_words_and_denials_are_none(text: str) -> None:
    assert read_meaning(text).tier == "none"


def test_no_phrase_of_the_corpus_is_lost() -> None:
    assert [said for said, _ in CRISIS if read_meaning(said).tier == "none"] == []


@pytest.mark.parametrize("name", DRESSED)
def test_no_disguise_hides_a_phrase(name: str) -> None:
    every = 100 if "long text" in name else 6  # a long one takes more than a second
    some = ENGLISH[list(DRESSED).index(name) % every :: every]  # each disguise its own
    missed = [s for s, _ in some if read_meaning(DRESSED[name](s)).tier == "none"]
    assert missed == []


def test_a_crisis_at_the_end_of_a_long_message_is_read() -> None:
    long = "it rained all day and we stayed in " * 300
    assert read_meaning(f"{long} and I will kill myself tonight").tier != "none"


# Where a crisis is rarer --------------------------------------------------------------------------

EVER_RARER = (0.0, 1.0, 50.0)


@pytest.mark.parametrize(
    ("text", "tiers"),
    [
        ("I sorted out who gets the cat", ("concern", "none", "none")),
        (
            "he pushed me down the stairs and took my phone so i can't call anybody",
            ("certain", "certain", "certain"),
        ),
        ("I'm not suicidal, but I am", ("concern", "concern", "concern")),
        ("I lost my job and I feel low.", ("none", "none", "none")),
    ],
)
def test_a_concern_has_to_mean_more_where_a_crisis_is_rarer(
    text: str, tiers: tuple[Tier, ...]
) -> None:
    found = [readers(GuardSettings(rarer=rarer)).first(text).tier for rarer in EVER_RARER]
    assert tuple(found) == tiers


def test_phrases_count_as_much_where_a_crisis_is_rarer() -> None:
    rarely = readers(GuardSettings(rarer=EVER_RARER[-1])).first
    assert [said for said, _ in CRISIS[::4] if rarely(said) != read_meaning(said)] == []


def test_a_long_message_is_embedded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = reading.shipped_classifier()
    assert classifier is not None
    passes, forward = [], classifier._forward

    def counting(texts: Sequence[str]) -> Tensor:
        passes.append(len(texts))
        return forward(texts)

    monkeypatch.setattr(classifier, "_forward", counting)
    long = "My sister moved to the coast and I went there by train for a week. " * 30
    assert len({read_meaning(long), read_meaning(long[:-1] + " ")}) == 1
    assert classifier.odds(long) == classifier.odds(long)
    assert len(passes) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I took 40 paracetamol an hour ago", True),
        ("i have taken thirty of my sleeping pills", True),
        ("I just drank bleach", True),
        ("I took 2 ibuprofen for my back", False),
        ("I took 20 mg of melatonin", False),
        ("the dog ate rat poison and the vet saved him", False),
        ("my gran takes 12 pills a day", False),
    ],
)
def test_an_overdose_told_with_a_number_is_a_phrase(text: str, found: bool) -> None:
    assert (crisis_kind(text) == "suicide") == found


@pytest.fixture
def forgotten() -> Iterator[None]:
    """No classifier was loaded."""
    reading.shipped_classifier.forget()
    yield
    reading.shipped_classifier.forget()


@pytest.mark.usefixtures("forgotten")
def test_another_encoder_than_the_larger_one_is_not_read_with(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    other = save_tiny("mpnet", tmp_path)
    monkeypatch.setenv(reading.ENCODER, other)
    assert read_meaning("I want to die").tier == "certain"
    assert reading.shipped_classifier() is not None  # the default one
    assert f"reads with its default encoder, not {other}" in caplog.text
    assert "does not belong to its config.json or to the encoder" in caplog.text
    with pytest.raises(CooperError, match="does not belong"):
        reading.load_classifier()


@pytest.mark.parametrize("name", ["/no/such/folder", "."])
def test_a_folder_without_an_encoder_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(reading.ENCODER, name)
    with pytest.raises(CooperError, match=f"{reading.ENCODER}={name}: there is no model.safe"):
        create_cooper("esc")
    monkeypatch.setenv(reading.ENCODER, DEFAULT_ENCODER)
    assert create_cooper("esc")


@pytest.mark.usefixtures("forgotten")
def test_the_larger_classifier_reads_where_its_encoder_is(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (folder := os.environ.get("COOPER_MPNET")):
        pytest.skip("COOPER_MPNET names no folder of all-mpnet-base-v2")
    monkeypatch.setenv(reading.ENCODER, folder)
    reading.load_classifier()
    found = reading.shipped_classifier()
    assert found is not None
    assert found.config.encoder == folder
    assert found.thresholds is not found.config  # pooled with the context model
    assert read_meaning("my brother left a note and turned his phone off").tier != "none"
    assert read_meaning("The balcony faces north, I should have mentioned.").tier == "none"
    assert [said for said, _ in CRISIS[::4] if read_meaning(said).tier == "none"] == []
