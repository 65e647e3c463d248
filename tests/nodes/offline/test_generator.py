"""The offline generator: brief, apt, never the same twice, word by word."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_cooper.nodes.backend import GeneratorInput, PromoterInput
from langgraph_cooper.nodes.offline import offline_backend
from langgraph_cooper.nodes.offline.generator import OfflineGenerator
from langgraph_cooper.nodes.offline.passive import passive_candidates
from langgraph_cooper.prompts import PASSIVE, AspectSpec, PassiveKind, TaskSpec, Topic, load_task
from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance
from tests.support.rankers import FakeRanker, embed
from tests.support.talk import everything, ranking, rounds, system, user

ESC, PERSUASION = load_task("esc"), load_task("persuasion")


def topic(text: str, *say: str) -> Topic:
    return Topic(topic=text, strategy="Question", say=say)


def task_of(passive: tuple[Topic, ...] = (), reply_words: int = 40, **banks: Topic) -> TaskSpec:
    aspects = tuple(
        AspectSpec(name=name, summarise="x", propose="y", strategies=("Q",), topics=(one,))
        for name, one in banks.items()
    )
    kinds = (PassiveKind(name="any", topics=passive),) if passive else ()
    return ESC.model_copy(
        update={"aspects": aspects, "passive": kinds, "reply_words": reply_words, "echo": ()}
    )


def reply(
    task: TaskSpec, topics: list[tuple[str, str]], history: list[Utterance], source: str = "bank"
) -> str:
    given = GeneratorInput(history=history, topics=ranking(topics, source))
    return OfflineGenerator(task)(given).text


CAKE = topic("cake", "Cake is ready.")
ASK = topic("ask", "How are you feeling today?")
MORE = topic("more", "What happened next?")
TALK = task_of(a=CAKE, b=ASK, c=MORE)
HI = [user("Hello to all.")]


def test_the_best_candidate_is_said_and_questions_come_last() -> None:
    assert reply(TALK, [("a", "cake")], HI) == "Cake is ready."
    assert reply(TALK, [("b", "ask"), ("a", "cake")], HI) == (
        "Cake is ready. How are you feeling today?"
    )


def test_no_two_questions_and_no_two_of_one_aspect() -> None:
    assert reply(TALK, [("b", "ask"), ("c", "more")], HI) == "How are you feeling today?"
    task = task_of(a=CAKE, b=topic("tea", "Tea is ready."))
    assert reply(task, [("a", "cake"), ("a", "tea")], HI) == "Cake is ready."
    assert reply(task, [("a", "cake"), ("b", "tea")], HI) == "Cake is ready. Tea is ready."


def test_a_passive_candidate_stands_alone() -> None:
    task = task_of(passive=(topic("bye", "Goodbye."),), a=CAKE)
    assert reply(task, [(PASSIVE, "bye"), ("a", "cake")], HI) == "Goodbye."
    assert reply(task, [("a", "cake"), (PASSIVE, "bye")], HI) == "Cake is ready."


def test_what_does_not_fit_is_left_out() -> None:
    task = task_of(reply_words=7, a=CAKE, b=topic("long", "This one has five words."))
    assert reply(task, [("a", "cake"), ("b", "long")], HI) == "Cake is ready."


def test_the_next_form_is_said_where_the_first_was() -> None:
    task = task_of(a=topic("cake", "Cake is ready.", "There is cake."))
    history = [user("x"), system("Well, CAKE is ready!"), user("y")]
    assert reply(task, [("a", "cake")], history) == "There is cake."


def test_the_subject_in_play_fills_its_place() -> None:
    form = topic("it", "How is {subject} now?", "How is it now?")
    task = task_of(a=form)
    assert reply(task, [("a", "it")], [user("Hello there.")]) == "How is it now?"
    fired = next(s for s in ESC.subjects if s.id == "job_loss")
    history = [user(f"It is because {fired.cues[0]}.")]
    assert reply(task, [("a", "it")], history) == f"How is {fired.phrase} now?"


def test_an_llms_candidate_is_said_as_it_stands() -> None:
    said = reply(TALK, [("a", "ask about {subject} and {this}")], HI, source="model")
    assert said == "Ask about {subject} and {this}"


def test_an_endless_candidate_is_passed_over() -> None:
    endless = " ".join(["so"] * 60)
    assert reply(TALK, [("a", endless), ("b", "ask")], HI) == "How are you feeling today?"


def test_what_was_heard_leads_every_other_round() -> None:
    heard = [user("I lost my job today.")]
    task = TALK.model_copy(update={"echo": ("So {echo}.", "I see, {echo}.")})
    assert reply(task, [("a", "cake")], heard) == "So you lost your job today. Cake is ready."
    assert reply(task, [("a", "cake")], rounds(1)[:-1] + heard) == "Cake is ready."
    assert reply(task, [("a", "cake")], rounds(2)[:-1] + heard) == (
        "I see, you lost your job today. Cake is ready."
    )
    bye = task_of(passive=(topic("bye", "Goodbye."),)).model_copy(update={"echo": task.echo})
    assert reply(bye, [(PASSIVE, "bye")], heard) == "Goodbye."


def test_with_nothing_to_say_it_listens() -> None:
    task = task_of(passive=(topic("mm", "I'm here."),))
    assert reply(task, [], HI) == "I'm here."
    said = [*HI, system("I'm here."), user("I lost it.")]
    first = reply(task, [], said)
    assert first.endswith(": I lost it.")
    later = [*said, system(first), user("I lost it.")]
    assert reply(task, [], later) == "I'm here."  # its own words again, once others were said
    assert reply(task_of(), [], later).endswith(": I lost it.")
    assert reply(task_of(), [], later) != first
    assert reply(task, [], [user("so " * 500)]).startswith("I'm here")
    assert len(reply(task_of(reply_words=6), [], [user("so " * 500)]).split()) < 6
    assert reply(task_of(), [], []) == "Hello."


def test_a_used_up_bank_receives_again_in_its_own_words() -> None:
    here = topic("here", "I'm here.", "Go on.").model_copy(update={"anytime": True})
    task, history = task_of(a=here, b=CAKE), [user("It is red.")]
    heard = []
    for _ in range(5):
        heard.append(reply(task, [], history))
        history += [system(heard[-1]), user("It is big.")]
    assert heard == ["I'm here.", "Go on.", "I'm here.", "Go on.", "I'm here."]


def test_not_to_know_is_for_questions_alone() -> None:
    unknown = PassiveKind(name="unknown", asked=True, topics=(topic("no", "I don't know."),))
    foreign = PassiveKind(name="foreign", foreign=True, topics=(topic("en", "English, please."),))
    task = task_of().model_copy(update={"passive": (foreign, unknown)})
    assert reply(task, [], [user("Is it big?")]) == "I don't know."
    assert reply(task, [], [user("It is big.")]).endswith(": It is big.")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("bye", "Goodbye, and take care."),
        ("Okay, good night!", "Goodbye, and take care."),
        ("Thanks, see you later!", "Goodbye, and take care."),
        ("Thank you so much.", "You're welcome."),
        ("okay see you", "Goodbye, and take care."),
        ("See you. Good night", "Goodbye, and take care."),
        ("Hey, thanks, bye!", "Goodbye, and take care."),
        ("Hi there!", "Hello."),
        ("hello?", "Hello."),
        ("Hi, good to see you", "Hello."),
        ("Nice to see you!", "Hello."),
    ],
)
def test_a_courtesy_is_not_given_back(said: str, answer: str) -> None:
    assert reply(task_of(), [], [user(said)]) == answer
    assert reply(task_of(), [], [user(f"{said} My dog died.")]).endswith("My dog died.")


@pytest.mark.parametrize("said", ["I see you", "hello? are you there?", "Hey, you see it too?"])
def test_a_question_or_a_statement_is_no_courtesy(said: str) -> None:
    assert reply(task_of(), [], [user(said)]).endswith(said)


WORDS = st.lists(
    st.sampled_from(["I", "my", "job", "mom", "was", "lost", ".", "?", "{subject}", "🙂", "''"]),
    max_size=30,
).map(" ".join)
LENGTHY = st.integers(1, 90).map(lambda n: " ".join(["a"] * n))


@pytest.mark.parametrize("task", [ESC, PERSUASION], ids=lambda task: str(task.name))
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_reply_is_under_the_word_limit(task: TaskSpec, data: st.DataObject) -> None:
    names = st.sampled_from([*task.aspect_names, PASSIVE])
    known = st.sampled_from(everything(task))
    topics = data.draw(st.lists(known | st.tuples(names, LENGTHY | WORDS.filter(bool)), max_size=6))
    texts = data.draw(st.lists(WORDS.filter(str.strip), max_size=5))
    history = [(user if n % 2 == 0 else system)(text) for n, text in enumerate(texts)]
    said = reply(task, topics, history)
    assert 0 < len(said.split()) < task.reply_words
    assert said.strip() == said


SEEKER = (
    "Hi there!",
    "I lost my job last month and I don't know how to tell my family.",
    "I feel so anxious and I can't sleep.",
    "My boss was never fair to me.",
    "Yes.",
    "I was there for nine years.",
    "Thank you.",
    "My wife is angry with me too.",
    "I don't know what to do.",
    "Maybe I could try that.",
    "How are you?",
    "I already tried it and it did not help at all.",
)
LISTENER = (
    "Hello!",
    "I have never heard of it.",
    "What do they do with the money?",
    "I have two small children of my own.",
    "Money is tight at the moment.",
    "I don't trust charities.",
    "Yes.",
    "Thank you.",
    "I already give to my church every month.",
    "I am not sure yet, let me think about it.",
    "How much do people give?",
    "Interesting.",
)


def patterns(task: TaskSpec) -> dict[str, re.Pattern[str]]:
    """A pattern for each form of the bank, whatever stands for its subject."""
    owned = [aspect.topics for aspect in task.aspects] + [kind.topics for kind in task.passive]
    forms = [form for topics in owned for one in topics for form in one.say]
    return {form: re.compile(re.escape(form).replace(r"\{subject\}", ".+"), re.I) for form in forms}


@pytest.mark.parametrize(("task", "lines"), [(ESC, SEEKER), (PERSUASION, LISTENER)])
def test_nothing_is_said_twice_in_sixty_turns(task: TaskSpec, lines: tuple[str, ...]) -> None:
    backend, ranker = offline_backend(task, embed), FakeRanker()
    history: list[Utterance] = []
    replies = []
    for turn in range(60):
        if turn or task.opens == "user":
            history.append(user(lines[turn % len(lines)]))
        gathered = [
            (aspect.name, candidate)
            for aspect in task.aspects
            for candidate in backend.promoter.invoke(
                PromoterInput(aspect=aspect, history=history, state="", m=task.m)
            )
        ]
        gathered += [(PASSIVE, one) for one in passive_candidates(task, history)]
        scored = [ScoredTopic(name, one["topic"]) for name, one in gathered]
        scores = ranker.score(history, scored, {})
        best = sorted(zip(scores, scored, strict=True), key=lambda pair: -pair[0])[: task.k]
        topics = ranking([(aspect, text) for _, (aspect, text) in best])
        said = backend.generator.invoke(GeneratorInput(history=history, topics=topics)).text
        assert len(said.split()) < task.reply_words
        history.append(system(said))
        replies.append(said)
    assert len(set(replies)) == 60
    forms = patterns(task).items()
    used = [form for said in replies for form, pattern in forms if pattern.search(said)]
    assert len(used) >= 60
    assert sorted(used) == sorted(set(used))


def test_it_streams_word_by_word_and_says_the_same() -> None:
    generator = offline_backend(ESC, embed).generator
    given = GeneratorInput(history=HI, topics=ranking(everything(ESC)[:3]))
    pieces = [chunk.text for chunk in generator.stream(given)]
    assert len([piece for piece in pieces if piece]) == len("".join(pieces).split()) > 3
    assert "".join(pieces) == generator.invoke(given).text


async def test_it_is_async_too() -> None:
    generator: Any = offline_backend(ESC, embed).generator
    given = GeneratorInput(history=HI, topics=ranking(everything(ESC)[:3]))
    assert (await generator.ainvoke(given)).text == generator.invoke(given).text
    pieces = [chunk.text async for chunk in generator.astream(given)]
    assert "".join(pieces) == generator.invoke(given).text
