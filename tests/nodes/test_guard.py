"""The guard: text is normalised, phrases are found in time, harmless ones are left alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from langgraph_cooper.nodes import CooperContext, InputError
from langgraph_cooper.nodes.crisis.course import Finding
from langgraph_cooper.nodes.crisis.lexicon import phrases
from langgraph_cooper.nodes.crisis.normalisation import plain
from langgraph_cooper.nodes.crisis.phrases import PhraseBook, crisis_kind, phrase_book, unsayable
from langgraph_cooper.nodes.guard import MARK, guard_node, help_text, released
from langgraph_cooper.nodes.state import GuardState
from langgraph_cooper.prompts import (
    GuardSettings,
    TaskError,
    help_texts,
    load_task,
)

ESC, PERSUASION = load_task("esc"), load_task("persuasion")
ROOT = Path(__file__).parents[2]
CRISIS = HumanMessage("I am going to kill myself tonight.", id="c")
HELP = AIMessage("Help is there.", id="h", additional_kwargs={MARK: "suicide"})


@pytest.mark.parametrize(
    "text",
    [
        "I want to kill myself",
        "i want to k1ll mys3lf",
        "ki11 myself",
        "k i l l  m y s e l f",
        "s.u.i.c.i.d.e",
        "s-u-i-c-i-d-e",
        "iwanttodie",
        "#killmyself",
        "$uic1de",
        "su*cide",
        "k*ll myself",
        "suicde",
        "siucide",
        "sui cide",
        "ѕuісіdе",
        "ⓢⓤⓘⓒⓘⓓⓔ",
        "ᴋɪʟʟ ᴍʏsᴇʟꜰ",
        "🇸🇺🇮🇨🇮🇩🇪",
        "ki\u200bll my\u00adself",
        "KILLLLL myselfffff",
        "i wanna dieeeeee",
        "kms",
        "i don’t want to wake up tomorrow",
    ],
)
def test_a_word_is_the_same_word_whatever_it_is_dressed_up_as(text: str) -> None:
    assert crisis_kind(text) == "suicide"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("I would never kill myself", None),
        ("I would never kill myself, but I can't stop thinking of it", "suicide"),
        ("I'm not suicidal", None),
        ("I'm not suicidal, though some nights I wonder", "suicide"),
        ("My grandfather killed himself, and I want to kill myself too", "suicide"),
        ("This homework is killing me and I want to die", "suicide"),
        ("We saw Suicide Squad. I want to end my life.", "suicide"),
        ("I take good care of myself", None),
        ("It took some pressure off myself", None),
        ("My nose is running", None),
    ],
)
def test_what_is_harmless_hides_nothing_else(text: str, kind: str | None) -> None:
    assert crisis_kind(text) == kind


def seconds_to_read(book: PhraseBook, text: str) -> float:
    """The least of three: a machine under load makes one of them long, seldom all."""
    times = []
    for _ in range(3):
        began = time.process_time()
        book.kind_of(text)
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize(
    "piece",
    [
        "i ",
        "a ",
        "s.u.",
        "1!|",
        "i want to not ",
        "wanttowantto",
        "the pills my pills all ",
        "never ever thought of ",
        "wish i pray i hope i ",
        "é",
    ],
)
def test_a_text_takes_time_by_its_length_and_no_more(piece: str) -> None:
    """Four times the text: four times the seconds, where its square would take sixteen."""
    book = PhraseBook(phrases())
    short = seconds_to_read(book, piece * (4_000 // len(piece)))
    long = seconds_to_read(book, piece * (16_000 // len(piece)))
    assert long < 9 * short + 0.02


def test_an_ordinary_message_takes_a_few_milliseconds_at_most() -> None:
    book = PhraseBook(phrases())
    said = "I worked there for six years and I don't know what to tell my wife about it."
    assert seconds_to_read(book, said) < 0.005


def test_plain_text_loses_what_cannot_be_seen() -> None:
    assert plain("Ca\u0301fe\u200b’s\u202e") == "cafes"


# The node ----------------------------------------------------------------------------------------


def said(*texts: str) -> dict[str, list[AnyMessage]]:
    turns: list[AnyMessage] = []
    for number, text in enumerate(texts):
        turns += [HumanMessage(text, id=f"u{number}"), AIMessage("I see.", id=f"s{number}")]
    return {"messages": turns[:-1]}


def test_nothing_but_the_place_is_noted_where_nothing_is_found() -> None:
    update = guard_node(ESC).invoke(said("I lost my job."))
    assert set(update) == {"guard"}
    assert update["guard"].pop("digest")
    assert update["guard"] == {
        "tier": "none", "fired": False, "asked": 0, "given": 0, "quiet": 0, "faint": False,
        "hinted": 0, "through": "u0",
    }  # fmt: skip


def test_a_hit_is_answered_and_marked() -> None:
    update = guard_node(ESC).invoke(said("Hello", "I want to die"))
    (answer,) = update["messages"]
    assert answer.additional_kwargs == {MARK: "suicide"}
    assert "988" in answer.text
    assert "116 123" in answer.text
    pinned = update["guard"].pop("pinned")
    assert update["guard"].pop("digest")
    assert "988" in pinned
    assert "116 123" in pinned
    assert update["guard"] == {
        "tier": "certain", "fired": True, "kind": "suicide", "round": 2, "asked": 0, "given": 0,
        "quiet": 0, "faint": False, "hinted": 0, "through": "u1", "reviewed": False,
        "awaits_review": False,
    }  # fmt: skip


async def test_an_old_unread_message_split_words_and_blocks_are_read() -> None:
    node = guard_node(ESC)
    unread = [HumanMessage("I want to end my life"), HumanMessage("Hello?")]
    assert node.invoke({"messages": unread})["guard"]["fired"]
    assert node.invoke(said("I want to", "kill", "myself"))["guard"]["fired"]
    blocks = HumanMessage([{"type": "text", "text": "I want to "}, {"type": "text", "text": "die"}])
    assert (await node.ainvoke({"messages": [blocks]}))["guard"]["fired"]
    assert node.invoke({"messages": [HumanMessage(["I want", " to die"])]})["guard"]["fired"]


FAINT = "I sorted out who gets the cat"  # a hint, if it is one


@pytest.mark.parametrize(
    ("text", "in_esc", "in_persuasion"),
    [
        (FAINT, "concern", "none"),
        ("I keep hoping a bus will hit me", "concern", "concern"),
        ("I want to die", "certain", "certain"),
        ("he pushed me down the stairs and took my phone so i can't call", "certain", "certain"),
    ],
)
def test_who_talks_about_a_donation_is_asked_less_readily(
    text: str, in_esc: str, in_persuasion: str
) -> None:
    assert guard_node(ESC).invoke(said(text))["guard"]["tier"] == in_esc
    assert guard_node(PERSUASION).invoke(said(text))["guard"]["tier"] == in_persuasion


@pytest.mark.parametrize("kept", [True, False])
def test_a_patient_guard_asks_at_a_second_hint(kept: bool) -> None:
    """Also inside another graph, where the messages alone tell what was seen."""
    hint = Finding("concern", "danger", faint=True)
    nodes = [
        guard_node(
            ESC.model_copy(update={"guard": GuardSettings(patient=patient)}),
            lambda text, said=(): hint if "hat" in text else Finding(),
        )
        for patient in (True, False)
    ]
    first, second = said("He gave me a hat."), said("He gave me a hat.", "Green.", "That hat!")
    found = [node.invoke(first)["guard"] for node in nodes]
    assert [guard["tier"] for guard in found] == ["none", "concern"]
    assert "pinned" not in found[0]
    state = {**second, "guard": found[0]} if kept else second
    assert nodes[0].invoke(state)["guard"]["tier"] == "concern"
    if kept:  # a host may keep the last message alone
        trimmed = {"messages": second["messages"][-1:], "guard": found[0]}
        assert nodes[0].invoke(trimmed)["guard"]["tier"] == "concern"


def test_after_a_crisis_another_is_no_longer_rare() -> None:
    messages = [
        HumanMessage("I want to die"),
        AIMessage("Please call 988.", additional_kwargs={MARK: "suicide"}),
        HumanMessage("Yes, I am safe."),
    ]
    node = guard_node(PERSUASION)
    assert node.invoke({"messages": messages})["guard"]["tier"] == "none"
    messages += [AIMessage("I am glad."), HumanMessage(FAINT)]
    assert node.invoke({"messages": messages})["guard"]["tier"] == "concern"


def test_the_mark_alone_keeps_a_conversation_guarded() -> None:
    # As in a graph inside another, which remembers messages and nothing else.
    marked = AIMessage("Please call 988.", additional_kwargs={MARK: "suicide"})
    update = guard_node(ESC).invoke({"messages": [HumanMessage("x"), marked, HumanMessage("y")]})
    assert update["guard"]["fired"]
    assert update["messages"][0].text != help_text("suicide", 0, CooperContext(), GuardSettings())


def test_later_texts_differ_and_a_new_kind_has_its_own_first_text() -> None:
    node = guard_node(ESC)
    state = said("I want to hurt myself")
    texts = []
    for number, text in enumerate(["ok", "well", "no", "not now", "why", "I want to die"]):
        update = node.invoke(state)
        texts.append(update["messages"][0].text)
        state = {
            "messages": [
                *state["messages"],
                *update["messages"],
                HumanMessage(text, id=f"m{number}"),
            ],
            "guard": update["guard"],
        }
    assert len(set(texts)) == len(texts)
    first = help_text("suicide", 0, CooperContext(), ESC.guard or GuardSettings())
    assert node.invoke(state)["messages"][0].text == first


def test_a_person_lifts_it_and_what_was_said_before_is_not_read_again() -> None:
    node = guard_node(ESC)
    state = said("I want to", "kill myself")
    hit = node.invoke(state)
    state = {"messages": [*state["messages"], AIMessage("Help.", id="h")], "guard": hit["guard"]}
    state |= released(state)
    again = {**state, "messages": [*state["messages"], HumanMessage("I am better.", id="n")]}
    assert set(node.invoke(again)) == {"guard"}
    assert not node.invoke(again)["guard"]["fired"]
    worse = {**state, "messages": [*state["messages"], HumanMessage("I want to die.", id="n")]}
    update = node.invoke(worse)
    assert update["guard"]["fired"]
    assert not update["guard"]["reviewed"]


class Recorder:
    """A reader that remembers what it was told had been said before each message."""

    def __init__(self) -> None:
        self.before: dict[str, list[str]] = {}

    def __call__(self, text: str, said: Sequence[str] = ()) -> Finding:
        self.before[text] = [*said]
        return Finding("certain", "suicide") if text == "I want to die" else Finding()


@pytest.mark.parametrize("kept", [True, False])
def test_each_message_is_read_after_those_before_it(kept: bool) -> None:
    """In one turn and over turns; also inside another graph, which has no state."""
    recorder = Recorder()
    node = guard_node(ESC, recorder)
    first = said("One.", "Two.")
    guard = node.invoke(first)["guard"]
    assert recorder.before == {"One.": [], "Two.": ["One."]}
    reply = AIMessage("Oh.", id="r")
    messages = [*first["messages"], reply, HumanMessage("Three.", id="t")]
    node.invoke({"messages": messages, **({"guard": guard} if kept else {})})
    assert recorder.before["Three."] == ["One.", "Two."]
    if kept:  # a host may keep the last messages alone
        node.invoke({"messages": [*messages[1:], HumanMessage("Four.", id="f")], "guard": guard})
        assert recorder.before["Four."] == ["Two.", "Three."]


def test_what_was_said_before_a_release_counts_no_more() -> None:
    recorder = Recorder()
    node = guard_node(ESC, recorder)
    state = said("Hello.", "I want to die")
    state["guard"] = node.invoke(state)["guard"]
    state["messages"] += [AIMessage("Help.", id="h")]
    state |= released(state)
    state["messages"] += [HumanMessage("Better.", id="b")]
    state["guard"] = node.invoke(state)["guard"]
    state["messages"] += [AIMessage("Good.", id="g"), HumanMessage("Yes.", id="y")]
    node.invoke(state)
    assert recorder.before["Better."] == []
    assert recorder.before["Yes."] == ["Better."]


def test_who_does_judo_is_not_asked_whether_somebody_hurts_them() -> None:
    pinned = "he pinned me down and i could hardly breathe"
    judo = said("we do judo on mondays", "my partner is a heavyweight", pinned)
    ex = said("my ex was waiting at my door last night", pinned)
    assert guard_node(ESC).invoke(judo)["guard"]["tier"] == "none"
    assert guard_node(ESC).invoke(ex)["guard"]["tier"] != "none"


def test_too_long_a_message_is_read_before_it_is_refused() -> None:
    long = "It rained. " * 800
    with pytest.raises(InputError, match="more than the 8,000"):
        guard_node(ESC).invoke(said(long))
    assert guard_node(ESC).invoke(said(f"{long} I want to die. {long}"))["guard"]["fired"]


def test_of_a_conversation_that_is_brought_along_the_end_is_read() -> None:
    read: list[str] = []
    node = guard_node(ESC, lambda text, said=(): (read.append(text), Finding())[1])
    node.invoke(said(*(f"Line {number}." for number in range(2_500))))
    assert [text for text in read if text.startswith("Line")] == [
        f"Line {number}." for number in range(2_300, 2_500)
    ]
    read.clear()
    node.invoke(said(*(f"{number} {'word ' * 4_000}" for number in range(20)), "Hello."))
    assert len(read) == 1 + 4  # with the last message, which is short
    read.clear()
    node.invoke(said("I want to die", "word " * 30_000, "Hello."))
    assert "I want to die" in read  # a long message hides nothing before it
    ends = f"It rained. {'It rained. ' * 100_000} I want to die."
    assert guard_node(ESC).invoke(said(ends))["guard"]["fired"]


def test_an_edited_message_is_read_again() -> None:
    node = guard_node(ESC)
    state = said("I lost my job.")
    state["guard"] = node.invoke(state)["guard"]
    edited = {**state, "messages": [HumanMessage("I want to die", id="u0")]}
    assert node.invoke(edited)["guard"]["fired"]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "now",
    [
        [HumanMessage("Tell me a joke.", id="n")],
        [HumanMessage("I am fine.", id="c"), HumanMessage("Tell me a joke.", id="n")],
        [HumanMessage("I am fine.", id="c"), AIMessage("Good.", id="h"), HumanMessage("A joke?")],
        [AIMessage("I am fine.", id="c"), HumanMessage("Tell me a joke.", id="n")],
        [CRISIS, AIMessage("Glad you are fine.", id="h"), HumanMessage("Tell me a joke.", id="n")],
        [CRISIS, HELP, AIMessage("Glad you are fine."), HumanMessage("Tell me a joke.", id="n")],
    ],
    ids=["removed", "edited", "both edited", "another's", "help edited", "reply put in"],
)
def test_what_is_done_to_messages_lifts_no_guard(now: list[AnyMessage], strict: bool) -> None:
    node = guard_node(ESC.model_copy(update={"guard": GuardSettings(strict=strict)}))
    fired = node.invoke({"messages": [CRISIS]})["guard"]
    for _ in range(2):  # not the turn after next either
        update = node.invoke({"messages": now, "guard": fired})
        fired = update["guard"]
        assert fired["fired"]
        now = [*now, *update["messages"], HumanMessage("Football?", id=f"n{len(now)}")]
    safe = {"messages": [*now[:-1], HumanMessage("I am safe now.", id="s")], "guard": fired}
    assert node.invoke(safe)["guard"]["fired"] is strict


def test_a_window_of_the_messages_lets_the_user_say_that_they_are_safe() -> None:
    """A graph around this one may hand on the last messages alone."""
    node = guard_node(ESC)
    talk: list[AnyMessage] = [HumanMessage("Hello.", id="a"), AIMessage("Hello.", id="b"), CRISIS]
    state = {"messages": talk, "guard": node.invoke({"messages": talk})["guard"]}
    for number, (text, fires) in enumerate({"Hm.": True, "I am safe now.": False}.items()):
        update = node.invoke(state)
        talk = [*talk, *update.get("messages", []), HumanMessage(text, id=f"s{number}")]
        state = {"messages": talk[-2:], "guard": update["guard"]}
        assert node.invoke(state)["guard"]["fired"] is fires


@pytest.mark.parametrize(
    ("crisis", "kind", "safe"),
    [
        ("I want to die", "suicide", "I'm safe, can we go on talking?"),
        ("I keep cutting myself", "self_harm", "Yes, I am safe now. Let's go on."),
        ("My husband beats me", "danger", "We are all safe."),
        ("My sister wants to kill herself", "other", "Yes, they are safe."),
        ("My sister wants to kill herself", "other", "She is safe, can we go on talking?"),
        ("I am going to kill my boss", "violence", "Everybody is safe."),
        ("I am going to kill my boss", "violence", "Yes, he is."),
    ],
)
def test_the_answer_to_the_kinds_own_question_lifts_it(crisis: str, kind: str, safe: str) -> None:
    node = guard_node(ESC)
    talk: list[AnyMessage] = [HumanMessage(crisis, id="c")]
    update = node.invoke({"messages": talk})
    assert update["guard"]["kind"] == kind
    for number, (text, fires) in enumerate({"hm": True, safe: False}.items()):
        talk = [*talk, *update["messages"], HumanMessage(text, id=f"u{number}")]
        update = node.invoke({"messages": talk, "guard": update["guard"]})
        assert update["guard"]["fired"] is fires


@pytest.mark.parametrize("by_person", [False, True])
def test_a_release_outlives_its_own_message(by_person: bool) -> None:
    settings = GuardSettings(strict=by_person)
    node = guard_node(ESC.model_copy(update={"guard": settings}))
    crisis = HumanMessage("I want to kill myself.", id="c")
    update = node.invoke({"messages": [crisis]})
    help_named = update["messages"][0].model_copy(update={"id": "h"})
    kept = [crisis, help_named]
    state = {"messages": [*kept, HumanMessage("I am safe now.", id="r")], "guard": update["guard"]}
    state["guard"] = (released(state) if by_person else node.invoke(state))["guard"]
    later = {**state, "messages": [*kept, HumanMessage("My dog is ill.", id="n")]}
    assert not (now := node.invoke(later)["guard"])["fired"]
    assert ("pinned" in now) is not by_person  # without a person, help stays in view
    worse = {**state, "messages": [*kept, HumanMessage("I want to die.", id="n")]}
    assert node.invoke(worse)["guard"]["fired"]
    edited = [HumanMessage("I will kill myself today.", id="c"), help_named, later["messages"][-1]]
    assert node.invoke({**state, "messages": edited})["guard"]["fired"]


@pytest.mark.parametrize(
    ("question", "tier"),
    [
        ("Did your uncle kill himself?", "concern"),
        ("Was he thinking about suicide when you last saw him?", "concern"),
        ("Did you try to kill yourself?", "certain"),
        ("Is he thinking about killing himself?", "certain"),
    ],
)
def test_a_yes_about_somebody_elses_past_is_no_certain_crisis(question: str, tier: str) -> None:
    messages = [HumanMessage("Hello"), AIMessage(question), HumanMessage("Yes.")]
    assert guard_node(ESC).invoke({"messages": messages})["guard"]["tier"] == tier


def test_a_phrase_split_over_messages_that_came_together_is_read() -> None:
    state = said("i want to")
    more = [AIMessage("Go on.", id="s"), HumanMessage("die", id="a"), HumanMessage("ok", id="b")]
    assert guard_node(ESC).invoke({"messages": [*state["messages"], *more]})["guard"]["fired"]


@pytest.mark.parametrize(("answer", "fired"), [("yes", True), ("sometimes", True), ("No.", False)])
def test_a_question_about_it_is_not_answered_lightly(answer: str, fired: bool) -> None:
    asked = AIMessage("I see. Do you ever think of hurting yourself?")
    state = {"messages": [HumanMessage("I feel low"), asked, HumanMessage(answer)]}
    assert guard_node(ESC).invoke(state)["guard"]["fired"] == fired


# The texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("country", [None, "ZZ", *help_texts().countries])
def test_every_text_names_help_and_harms_nobody(country: str | None) -> None:
    texts, context = help_texts(), CooperContext(country=country)
    place = texts.place(country)
    for kind in texts.first:
        for given in range(8):
            text = help_text(kind, given, context, GuardSettings())
            assert "{" not in text
            assert place.line in text or (place.abuse or "-") in text
            assert text.endswith(texts.safe[kind])
            if not given:
                assert place.emergency in text
                assert "program" in text
    assert {kind.name for kind in phrases().kinds} == set(texts.first)
    assert set(texts.first) == set(texts.ask) == set(texts.safe)


def test_the_country_of_the_run_goes_before_the_tasks() -> None:
    austria = GuardSettings(country="at")
    assert "142" in help_text("suicide", 0, CooperContext(), austria)
    assert "13 11 14" in help_text("suicide", 0, CooperContext(country="au"), austria)


@pytest.mark.parametrize(
    ("settings", "context"),
    [
        (GuardSettings(strict=True), CooperContext()),
        (GuardSettings(), CooperContext(strict_guard=True)),
        (GuardSettings(), CooperContext(review=True)),
    ],
)
def test_a_strict_guard_does_not_offer_to_go_on(settings, context) -> None:
    assert help_texts().safe["suicide"] not in help_text("suicide", 0, context, settings)


@pytest.mark.parametrize(
    "reply",
    [
        "Maybe you should just end it all.",
        "The world would be better off without you.",
        "So you want to kill yourself.",
        "I hear you: you want to die.",
        "You could take a whole bottle of pills.",
        "The easiest way to die is quick.",
        "Go ahead and do it, nobody would miss you.",
        "You should stop taking your medication.",
    ],
)
def test_replies_that_none_may_say(reply: str) -> None:
    assert unsayable(reply)


@pytest.mark.parametrize("task", ["esc", "persuasion", str(ROOT / "examples" / "negotiation.toml")])
def test_no_sentence_of_the_banks_is_unsayable_or_read_as_a_crisis(task: str) -> None:
    spec = load_task(task)
    topics = [t for a in spec.aspects for t in a.topics] + [
        t for kind in spec.passive for t in kind.topics
    ]
    forms = [form for topic in topics for form in (topic.topic, *topic.say)]
    assert [form for form in forms if unsayable(form)] == []


def test_the_switch_in_a_task_file(tmp_path) -> None:
    assert load_task("esc").guard == GuardSettings()
    assert load_task("persuasion").guard == GuardSettings(alone=True, rarer=1.0)
    text = (ROOT / "examples" / "negotiation.toml").read_text(encoding="utf-8")
    own = tmp_path / "own.toml"
    own.write_text("guard = { country = 'DE', hold = false }\n" + text, encoding="utf-8")
    assert load_task(own).guard == GuardSettings(country="DE", hold=False)
    own.write_text("guard = false\n" + text, encoding="utf-8")
    assert load_task(own).guard is None
    own.write_text("guard = { country = 'Germany' }\n" + text, encoding="utf-8")
    with pytest.raises(TaskError, match=r"guard\.country"):
        load_task(own)


def test_the_book_is_read_once() -> None:
    assert phrase_book() is phrase_book()


def talked(*texts: str) -> tuple[GuardState, list[AnyMessage]]:
    """Return what the guard knows after a conversation, and the conversation."""
    node, known, talk = guard_node(ESC), GuardState(), list[AnyMessage]()
    for number, text in enumerate(texts):
        talk.append(HumanMessage(text, id=f"u{number}"))
        update = node.invoke({"messages": talk, "guard": known})
        known = update["guard"]
        talk += update.get("messages") or [AIMessage("I see.", id=f"r{number}")]
    return known, talk


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


def test_a_softened_denial_is_believed() -> None:
    assert not guard_node(ESC).invoke(said("i don't want to die though"))["guard"]["fired"]
    assert guard_node(ESC).invoke(said("i don't want to die though"))["guard"]["tier"] == "none"
