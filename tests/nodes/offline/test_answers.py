"""Prepared answers: what the user just said is recognised by meaning, and answered first."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.offline.answers import Answers, Thresholds
from langgraph_cooper.nodes.offline.generator import OfflineGenerator
from langgraph_cooper.nodes.offline.reading import ShippedReader
from langgraph_cooper.nodes.state import RankedCandidate
from langgraph_cooper.prompts import Answer, TaskSpec, load_task
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.model.encoder import load_encoder
from tests.support.rankers import embed
from tests.support.readers import ScriptedReader
from tests.support.talk import system, user

ESC, PERSUASION = load_task("esc"), load_task("persuasion")
NEGOTIATION = load_task("examples/negotiation.toml")
PET = Answer(
    topic="Ask about the ill pet.",
    strategy="Question",
    heard=("My dog is ill.", "our cat is sick"),
    say=("What does the vet say?", "How are you two getting through the days?"),
)
OFFER = Answer(
    topic="Take the offer.",
    strategy="Question",
    heard=("I can pay 100 for it.",),
    say=("Good, {amount} it is.",),
    amount=(95, 120),
)


def task_with(*answers: Answer, task: TaskSpec = ESC) -> TaskSpec:
    return task.model_copy(update={"answers": answers})


def topic_for(task: TaskSpec, *history: Utterance) -> str | None:
    found = Answers(task, embed).find(history)
    return found.topic if found else None


def said(task: TaskSpec, answer: Answer, history: list[Utterance]) -> str:
    ranked = RankedCandidate(
        rank=1, score=9.0, aspect="exploration", strategy=answer.strategy, topic=answer.topic,
        source="bank", due=True,
    )  # fmt: skip
    return OfflineGenerator(task)({"history": history, "topics": [ranked]}).text


def test_a_message_like_an_example_is_answered() -> None:
    task = task_with(PET)
    assert topic_for(task, user("my dog is ill")) == PET.topic
    assert topic_for(task, user("Well, I do not know. My dog is ill.")) == PET.topic
    assert topic_for(task, user("The tax form came back today.")) is None


def test_an_example_in_which_the_other_person_did_it_is_left_out() -> None:
    left = PET.model_copy(update={"heard": ("I left my wife.", "I dumped him.")})
    answers = Answers(task_with(left), load_encoder().encode, thresholds=Thresholds(0, 0))
    assert answers.find([user("I finally left my wife.")])
    assert answers.find([user("My wife left me.")]) is not None  # by the other example
    only = left.model_copy(update={"heard": ("I left my wife.",)})
    answers = Answers(task_with(only), load_encoder().encode, thresholds=Thresholds(0, 0))
    assert answers.find([user("I finally left my wife.")])
    assert answers.find([user("My wife left me.")]) is None


def test_what_did_not_happen_is_not_answered_as_if_it_did() -> None:
    fired = PET.model_copy(update={"heard": ("My boss fired me.", "I was fired today.")})
    answers = Answers(task_with(fired), load_encoder().encode, thresholds=Thresholds(0, 0))
    assert answers.find([user("My boss has fired me.")])
    assert answers.find([user("My boss did not fire me.")]) is None
    kept = fired.model_copy(update={"heard": (*fired.heard, "I didn't get fired.")})
    answers = Answers(task_with(kept), load_encoder().encode, thresholds=Thresholds(0, 0))
    assert answers.find([user("My boss did not fire me.")])


def test_the_answer_is_chosen_by_what_reads_it_together_with_the_message() -> None:
    fish = PET.model_copy(update={"topic": "Ask about fish.", "say": ("Which fish?", "How many?")})
    task, reader = task_with(PET, fish), ScriptedReader("fish")
    answers = Answers(task, embed, reader=reader)
    history = [user("Hi."), system("What does the vet say?"), user("My dog is ill.")]
    found = answers.find(history)
    assert found is not None
    assert found.topic == fish.topic
    # The form that would be said next is read.
    assert reader.read == {(history[-1].text, form) for form in (PET.say[1], "Which fish?")}
    told = [user("My dog is ill."), system("Which fish?"), user("My dog is ill.")]
    assert answers.find(told) is None  # "How many?" is not accepted


def test_answers_to_amounts_are_not_read() -> None:
    reader = ScriptedReader("nothing")
    answers = Answers(task_with(OFFER, PET, task=PERSUASION), embed, reader=reader)
    assert answers.find([user("I can pay 100 for it.")]) == OFFER
    assert not any("it is" in reply for _, reply in reader.read)
    # Their thresholds are those of the regression, too.
    task = task_with(OFFER, task=PERSUASION).model_copy(update={"subjects": ()})  # no yes is read
    alone = Answers(task, embed)
    question = [user("Can I maybe pay 100?")]
    (answer, chance), *_ = alone.chances(question[0].text)
    assert 0.4 < chance < 0.5
    read = Answers(task, embed, reader=reader)
    assert alone.find(question) == read.find(question) == answer


@pytest.mark.parametrize("said", ["My dog is ill.", "Is my dog ill?"])
def test_a_question_is_answered_with_less_certainty(said: str) -> None:
    answers = Answers(task_with(PET), embed, reader=ScriptedReader("vet", sure=0.52))
    assert (answers.find([user(said)]) is not None) == said.endswith("?")


def test_nothing_is_answered_where_the_user_did_not_speak_last() -> None:
    task = task_with(PET)
    assert topic_for(task) is None
    assert topic_for(task, user("My dog is ill."), system("I see.")) is None


def test_the_agent_of_the_answers_aspect_proposes_it_as_due() -> None:
    answers = Answers(task_with(PET), embed)
    (candidate,) = answers.candidates("exploration", [user("My dog is ill.")])
    assert candidate == {
        "topic": PET.topic, "strategy": "Question", "source": "bank", "due": True,
    }  # fmt: skip
    for other in ("comforting", "action", "passive"):
        assert answers.candidates(other, [user("My dog is ill.")]) == []


def test_each_form_is_said_once_and_then_the_answer_is_used_up() -> None:
    task, history = task_with(PET), [user("My dog is ill.")]
    for form in PET.say:
        assert topic_for(task, *history) == PET.topic
        assert said(task, PET, history) == form
        history += [system(form), user("My dog is ill.")]
    assert topic_for(task, *history) is None


def test_an_amount_decides_and_is_said_in_the_users_words() -> None:
    task = task_with(OFFER)
    assert topic_for(task, user("I can pay 100 for it.")) == OFFER.topic
    assert topic_for(task, user("I can pay 60 for it.")) is None
    assert topic_for(task, user("I paid 100 for it.")) is None  # told, not offered
    assert said(task, OFFER, [user("I can pay $110 for it.")]) == "Good, $110 it is."


@pytest.mark.parametrize(
    ("example", "message", "bounds"),
    [
        ("I earn 50,000 dollars a year.", "I earn 52,000 dollars a year.", (5_000.0, 400_000.0)),
        ("It costs 10k.", "It costs 12k.", (9_000.0, 20_000.0)),
        ("I can't give 10 dollars.", "I can't give 12 dollars.", (10.0, 20.0)),
    ],
)
def test_amounts_are_told_or_denied_where_an_example_does_so(
    example: str, message: str, bounds: tuple[float, float]
) -> None:
    pay = OFFER.model_copy(update={"heard": (example,), "amount": bounds})
    assert topic_for(task_with(pay), user(example)) == OFFER.topic
    assert topic_for(task_with(pay), user(message)) == OFFER.topic
    other = pay.model_copy(update={"heard": ("I offer 50,000 dollars a year.", "I give 12.")})
    assert topic_for(task_with(other), user(message)) is None


def test_an_amount_in_its_range_speaks_for_an_answer() -> None:
    """The words alone are too far from the example."""
    text = "So 100 for it, if I pay now."
    assert topic_for(task_with(OFFER.model_copy(update={"amount": None})), user(text)) is None
    assert topic_for(task_with(OFFER), user(text)) == OFFER.topic
    any_sum = OFFER.model_copy(update={"amount": (0.01, 1e7)})
    assert topic_for(task_with(any_sum), user(text)) is None  # nearly any number is in its range


def test_a_simple_goodbye_is_left_to_the_cues() -> None:
    bye = PET.model_copy(update={"heard": ("bye then",)})
    assert topic_for(task_with(bye), user("bye then")) is None


def test_who_has_refused_is_answered_only_where_they_ask() -> None:
    appeal = Answer(
        topic="Say what it does.",
        strategy="logical-appeal",
        heard=("What does it do?", "It does a lot."),
        say=("It works for children.",),
    )
    task = task_with(appeal, task=PERSUASION)
    no = [system("Hello."), user("I am not interested."), system("That is all right.")]
    assert topic_for(task, *no, user("What does it do?")) == appeal.topic
    assert topic_for(task, *no, user("It does a lot.")) is None


def test_what_is_not_understood_is_known() -> None:
    answers = Answers(task_with(PET), embed)
    assert answers.unheard([user("The balcony faces north.")])
    assert not answers.unheard([user("My dog is ill.")])
    assert not answers.unheard([user("bye then")])
    assert not answers.unheard([user("My husband is abusive.")])  # the bank knows about that
    assert not Answers(task_with(), embed).unheard([user("The balcony faces north.")])


@pytest.fixture(scope="module")
def shipped() -> dict[str, Answers]:
    encode = load_encoder().encode
    return {
        task.name: Answers(task, encode, reader=ShippedReader(task, encode))
        for task in (ESC, PERSUASION, NEGOTIATION)
    }


@pytest.mark.parametrize(
    ("task", "text", "word"),
    [
        ("esc", "my cat is sick and I'm scared", "vet"),
        ("esc", "What would you do if you were in my place?", "program"),
        ("esc", "You keep telling me the same thing", "repeats"),
        ("persuasion", "How much of my money gets to the kids?", "report"),
        ("persuasion", "I already gave them something last year.", "last year"),
        ("negotiation", "Any damage to the frame?", "scratch"),
        ("negotiation", "I could give you 60 for it", "95"),
        ("negotiation", "Okay, 80, and two tickets for the owner in row four.", "95"),
    ],
)
def test_shipped_answers_take_up_other_words(
    shipped: dict[str, Answers], task: str, text: str, word: str
) -> None:
    answer = shipped[task].find([system("Hello."), user(text)])
    assert answer is not None
    assert any(word in text for text in (answer.topic.lower(), *answer.say)), answer


@pytest.mark.parametrize("text", ["Do you run?", "The lads at the club bought me a jigsaw."])
def test_shipped_answers_leave_what_only_sounds_alike(
    shipped: dict[str, Answers], text: str
) -> None:
    assert shipped["esc"].find([user(text)]) is None
