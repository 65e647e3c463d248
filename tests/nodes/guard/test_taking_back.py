"""Who says that they are safe is believed, and heard where they take it back."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_cooper.nodes.guard import guard_node
from tests.nodes.guard.talks import ESC, talked


@pytest.mark.parametrize(
    "back",
    [
        "lol just kidding I took them",
        "but not for long",
        "I lied",
        "actually I'm not safe",
        "sike",
        "too late",
        "I already took them all",
        "actually I took the pills",
        "no, I'm not",
        "I wasn't telling the truth",
        "not for much longer",
        "jk",
    ],
)
def test_what_is_taken_back_at_once_is_the_crisis_again(back: str) -> None:
    known, _ = talked("I am going to kill myself tonight.", "I am safe now.")
    assert not known["fired"]
    known, talk = talked("I am going to kill myself tonight.", "I am safe now.", back)
    assert (known["fired"], known["kind"]) == (True, "suicide")
    # Likewise where nothing is known, as in another graph.
    assert guard_node(ESC).invoke({"messages": talk[:-1]})["guard"]["fired"]


@pytest.mark.parametrize("later", ["jk", "for now", "I lied about my age on the form"])
def test_later_the_same_words_take_nothing_back(later: str) -> None:
    known, _ = talked("I am going to kill myself.", "I am safe now.", "It rained all day.", later)
    assert not known["fired"]


@pytest.mark.parametrize(
    "text",
    [
        "Can we talk about my job?",
        "thank you",
        "it only rained today",
        "For now let's talk about my job",
        "Until last year I had a job",
        "Until tomorrow!",
        "I did it",
        "just kidding around with the kids",
        "I took the pills back to the pharmacy",
        "I lie awake at night",
        "I lied to my boss about the sick day",
        "I took it to the vet",
        "I did all the dishes today",
    ],
)
def test_other_words_take_nothing_back(text: str) -> None:
    known, _ = talked("I am going to kill myself tonight.", "I am safe now.", text)
    assert not known["fired"]


@pytest.mark.parametrize("text", ["for now", "I'll do it anyway tonight", "I took them already"])
def test_what_may_be_taken_back_is_asked_about(text: str) -> None:
    known, _ = talked("I am going to kill myself tonight.", "I am safe now.", text)
    assert known["tier"] == "concern"


def test_who_is_not_safe_is_heard() -> None:
    known, _ = talked("I'm not safe.")
    assert (known["tier"], known["kind"]) == ("concern", "danger")
    said = (
        "I am going to kill myself.",
        "I am safe now.",
        "It rained.",
        "I don't feel safe anymore.",
    )
    known, _ = talked(*said)
    assert (known["tier"], known["kind"]) == ("certain", "suicide")
    known, _ = talked("I'm not safe from layoffs at work.")
    assert known["tier"] == "none"


@pytest.mark.parametrize(
    ("crisis", "safe"),
    [
        ("ik wil zelfmoord plegen", "ik ben nu veilig, bedankt"),
        ("je veux me suicider", "je suis en securite"),
        ("quiero suicidarme", "Sí, ahora estoy a salvo, gracias"),
        ("хочу умереть", "да, сейчас я в безопасности, спасибо"),
    ],
)
def test_who_is_safe_says_so_in_their_language(crisis: str, safe: str) -> None:
    assert talked(crisis)[0]["fired"]
    assert not talked(crisis, safe)[0]["fired"]


@pytest.mark.parametrize("answer", ["Not yet", "Not really", "I took them", "I'll do it"])
def test_an_answer_to_a_question_takes_nothing_back(answer: str) -> None:
    known, talk = talked("I am going to kill myself tonight.", "I am safe now.")
    talk[-1] = AIMessage("Good. Did you take your meds this morning?", id="q")
    now = guard_node(ESC).invoke(
        {"messages": [*talk, HumanMessage(answer, id="n")], "guard": known}
    )["guard"]
    assert not now["fired"]


@pytest.mark.parametrize(
    "texts",
    [
        ["I'm safe. Just kidding."],
        ["I'm safe NOT"],
        ["I'm safe on the bridge"],
        ["I'm safe", "jk"],
        ["I'm safe", "I lied"],
        ["I'm safe. lol jk"],
    ],
)
def test_what_is_taken_back_in_the_same_turn_releases_nobody(texts: list[str]) -> None:
    known, talk = talked("I am going to kill myself tonight.")
    more = [HumanMessage(text, id=f"n{number}") for number, text in enumerate(texts)]
    assert guard_node(ESC).invoke({"messages": [*talk, *more], "guard": known})["guard"]["fired"]
