"""The passive candidate: offered when the user's words call for it, and never said twice."""

from __future__ import annotations

from itertools import permutations

import pytest

from langgraph_cooper.nodes.coordinator import lift_due
from langgraph_cooper.nodes.offline.passive import foreign_candidates, passive_candidates
from langgraph_cooper.nodes.state import Candidate
from langgraph_cooper.prompts import PassiveKind, TaskSpec, load_task
from langgraph_cooper.ranker.data.dialogue import Utterance
from tests.support.talk import rounds, system, user

ESC, PERSUASION = load_task("esc"), load_task("persuasion")


def kind_of(task: TaskSpec, history: list[Utterance]) -> str | None:
    found = passive_candidates(task, history)
    if not found:
        return None
    assert len(found) == 1
    assert found[0]["source"] == "bank"
    return next(k.name for k in task.passive if found[0]["topic"] in {t.topic for t in k.topics})


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Hello!", "greeting"),
        ("HI THERE", "greeting"),
        ("Thank you so much, that helped", "thanks"),
        ("ok bye", "closing"),
        ("How are you today?", "smalltalk"),
        ("I lost my job and I am scared.", "listening"),
        ("Hi, I lost my job last week and now we can't pay the rent.", "listening"),
        ("This thing has hit me hard.", "listening"),
        ("I never got to say goodbye to my dad.", "listening"),
        ("It feels like I have to say bye to my dream job.", "listening"),
    ],
)
def test_the_kind_that_the_words_call_for(text: str, kind: str) -> None:
    assert kind_of(ESC, [user(text)]) == kind


def test_the_opening_belongs_to_an_empty_conversation() -> None:
    assert kind_of(PERSUASION, []) == "opening"
    assert kind_of(ESC, []) is None
    assert kind_of(PERSUASION, [user("Hello")]) == "greeting"


def test_a_no_is_taken_for_one_at_any_length() -> None:
    text = "You make good points about those children, but I am not interested in giving " + (
        "because money has been very tight for us since my husband lost his job in the spring"
    )
    assert kind_of(PERSUASION, [system("Hello."), user(text)]) == "refusal"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Thank you, how do I donate?", "how_to_give"),
        ("I'll donate $1", "pledge"),
        ("I don't think I will donate", "refusal"),
        ("Stop asking me", "refusal"),
        ("No, thank you", "refusal"),
        ("I don't want to give", "refusal"),
        ("I don't want to give much, but I'll donate $1.", "pledge"),
        ("I already give to my church, I won't give more.", "refusal"),
        ("I'm not going to give more money to charities.", "refusal"),
        ("I do not want to give a lot of money to strangers.", "refusal"),
        ("I gave already, I won't donate more.", "refusal"),
        ("No,\nthank you", "refusal"),
        ("No :) thank you", "refusal"),
    ],
)
def test_a_yes_a_no_and_a_how(text: str, kind: str) -> None:
    history = [system("Would you give a part of your pay to the children?"), user(text)]
    assert kind_of(PERSUASION, history) == kind
    assert passive_candidates(PERSUASION, history)[0]["due"]


@pytest.mark.parametrize(
    ("asked", "text", "kind"),
    [
        ("Would you give a dollar?", "I'd rather not give $5, but I'll donate $1", "pledge"),
        ("Would you give a dollar?", "No thanks needed, just take my donation", "pledge"),
        ("Do you have children?", "No, I don't think so.", None),
        ("I see.", "my sister said no thanks to you last week", None),
    ],
)
def test_words_of_a_no_are_none_where_none_is_read(asked: str, text: str, kind: str | None) -> None:
    found = kind_of(PERSUASION, [user("Hello."), system(asked), user(text)])
    assert found == kind if kind else found != "refusal"


def test_what_was_said_is_not_offered_again() -> None:
    history = [user("thanks")]
    offered = []
    for _ in range(100):
        if not (found := passive_candidates(ESC, history)):
            break
        (one,) = found
        offered.append(one["topic"])
        topic = next(t for k in ESC.passive for t in k.topics if t.topic == one["topic"])
        history += [system(f"Well. {topic.say[-1].upper()}"), user("thanks")]
    assert len(set(offered)) == len(offered) >= 20  # "thanks", then whatever may always be said
    assert passive_candidates(ESC, history) == []


def test_topics_are_kept_to_their_rounds() -> None:
    (listening,) = [kind for kind in ESC.passive if kind.name == "listening"]
    late = listening.topics[0].model_copy(update={"rounds": (3, 4)})
    kind = PassiveKind(name="late", topics=(late,))
    task = ESC.model_copy(update={"passive": (kind,)})
    offered = [bool(passive_candidates(task, rounds(n))) for n in range(5)]
    assert offered == [False, False, True, True, False]


def test_a_goodbye_is_answered_with_a_goodbye_whatever_the_ranker_prefers() -> None:
    (goodbye,) = passive_candidates(ESC, [user("Bye!")])
    other = Candidate(topic="What do you want to do about it?", strategy="Question", source="bank")
    assert goodbye["due"]
    assert lift_due([other, goodbye], [7.5, -3.0]) == [7.5, 8.5]
    assert lift_due([goodbye], [2.0]) == [2.0]
    (listening,) = passive_candidates(ESC, [user("I do not know what to do about my job.")])
    assert "due" not in listening
    assert lift_due([other, listening], [7.5, -3.0]) == [7.5, -3.0]


def courteous(*names: str) -> TaskSpec:
    """Return a task with these kinds in this order."""
    cues = {
        "greeting": ("Hello", "Hi"),
        "thanks": ("thanks", "thank you"),
        "goodbye": ("bye", "goodbye"),
        "weather": ("the weather",),
    }
    topics = ESC.passive[0].topics[:1]
    kinds = [
        PassiveKind(
            name=name,
            cues=cues[name],
            due=True,
            topics=[topics[0].model_copy(update={"topic": name, "rounds": None})],
        )
        for name in names
    ]
    return ESC.model_copy(update={"passive": tuple(kinds)})


@pytest.mark.parametrize("names", list(permutations(["greeting", "thanks", "goodbye", "weather"])))
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Thanks, that helped a lot. Bye!", "goodbye"),
        ("Thank you so much for listening to all of my complaints today. Goodbye!", "goodbye"),
        ("Bye, thanks a lot!", "goodbye"),
        ("Hi, thanks!", "thanks"),
        ("Hello, how is the weather?", "weather"),
    ],
)
def test_a_goodbye_comes_before_thanks_and_thanks_before_a_greeting(
    names: tuple[str, ...], text: str, kind: str
) -> None:
    (found,) = passive_candidates(courteous(*names), [user(text)])
    assert (found["topic"], found.get("due")) == (kind, True)


def test_thanks_and_small_talk_keep_the_order_of_the_file() -> None:
    said = [user("Thank you, nice day.")]
    assert kind_of(PERSUASION, said) == "thanks"
    swapped = PERSUASION.model_copy(update={"passive": PERSUASION.passive[::-1]})
    assert kind_of(swapped, said) == "smalltalk"


@pytest.mark.parametrize("text", ["Thanks, but nothing of that helped a bit. Bye bye job.", "Hi"])
def test_other_words_beside_a_goodbye_still_count(text: str) -> None:
    found = passive_candidates(courteous("goodbye", "thanks"), [user(text)])
    assert not any("due" in candidate for candidate in found)


@pytest.mark.parametrize("task", [ESC, PERSUASION, load_task("examples/negotiation.toml")])
def test_a_greeting_in_mid_conversation_begins_nothing_anew(task: TaskSpec) -> None:
    (greeting,) = [kind for kind in task.passive if kind.name == "greeting"]
    early = {t.topic for t in greeting.topics if t.offered_in(1)}
    (first,) = passive_candidates(task, [user("Hello")])
    assert first["topic"] in early
    (later,) = passive_candidates(task, [*rounds(3)[:-1], user("hello?")])
    assert later["topic"] in {t.topic for t in greeting.topics} - early
    assert later["due"]


@pytest.mark.parametrize("task", [ESC, PERSUASION, load_task("examples/negotiation.toml")])
def test_another_language_is_told_that_english_is_understood(task: TaskSpec) -> None:
    said = "Mein Hund ist gestern gestorben und ich kann nicht schlafen."
    assert foreign_candidates(task, [user("My dog died yesterday and I can't sleep.")]) == []
    assert foreign_candidates(task, [user(said), system("Hm.")]) == []
    history, heard = [user(said)], []
    while found := foreign_candidates(task, history):
        (one,) = found
        assert one["due"]
        kinds = [kind for kind in task.passive if kind.foreign]
        (topic,) = [t for kind in kinds for t in kind.topics if t.topic == one["topic"]]
        heard.append(next(f for f in topic.say if system(f) not in history))
        history += [system(heard[-1]), user(said)]
    assert len(set(heard)) == len(heard) >= 4
    assert all("English" in form for form in heard)


@pytest.mark.parametrize(
    ("task", "text", "due"),
    [
        (ESC, "Hi there", True),
        (ESC, "Hi, my mom died yesterday", False),
        (ESC, "Thank you so much!", True),
        (ESC, "Thanks but I still feel awful", False),
        (ESC, "Okay, bye for now, take care", True),
        (ESC, "My husband left without saying goodbye", False),
        (ESC, "bye bye happiness, my life is over", False),
        (PERSUASION, "Thank you, but does it reach the children?", False),
    ],
)
def test_due_only_where_the_message_says_little_else(task: TaskSpec, text: str, due: bool) -> None:
    found = passive_candidates(task, [user(text)])
    assert any("due" in candidate for candidate in found) == due
