"""What is cleaned of a model's reply, and that an ordinary one stays as it is."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage, HumanMessage

from langgraph_cooper.graph import create_cooper
from langgraph_cooper.nodes.llm.reply import clean_reply
from langgraph_cooper.prompts import load_task
from tests.support.scripted import ScriptedModel

ESC = load_task("esc")
SOUND = "Losing a job after so long hurts. What worries you most about the coming weeks?"


@pytest.mark.parametrize(
    "answer",
    [
        f"Supporter: {SOUND}",
        f"supporter : {SOUND}",
        f"**Supporter:** {SOUND}",
        f"[Supporter]: {SOUND}",
        f"Assistant:\n{SOUND}",
        f"Reply: {SOUND}",
        f'"{SOUND}"',
        f"\u201c{SOUND}\u201d",
        f'Supporter: "{SOUND}"',
        f'Sure! Here is the reply:\n\n"{SOUND}"',
        f"Certainly. Here's a short, supportive response from the supporter:\n{SOUND}",
        f"Here\u2019s my reply:\n\nSupporter: {SOUND}",
        f'{{"reply": "{SOUND}"}}',
        f'{{"response": "{SOUND}", "strategy": "Question"}}',
        f'```json\n{{"reply": "{SOUND}"}}\n```',
        f"```\n{SOUND}\n```",
        f"<|im_start|>assistant\n{SOUND}<|im_end|>",
        f"Seeker: I lost my job.\nSupporter: {SOUND}",
        f"Seeker: I lost my job.\nSupporter: {SOUND}\nSeeker: Yes.",
        f"Supporter: {SOUND}\nSeeker: I do not know.\nSupporter: I see.",
        f"{SOUND} " * 60,
        f"{SOUND} " * 3,
        SOUND + " What worries you most about the coming weeks?" * 5,
    ],
)
def test_what_stands_around_a_reply_is_removed(answer: str) -> None:
    assert clean_reply(answer, ESC) == SOUND


@pytest.mark.parametrize(
    "answer",
    ["}{ [[ lorem", "[[1]]", '{"a": 1}', '{"a": "b', "...", '"', "null", "Supporter:", "Reply:",
     "```python\nprint(1)\n```\nDone.", "Seeker: I feel so alone and I hate my job."],
)  # fmt: skip
def test_code_and_signs_and_what_the_other_side_says_are_no_reply(answer: str) -> None:
    assert clean_reply(answer, ESC) == ""


@pytest.mark.parametrize(
    "reply",
    [
        "No. No. No. That was not your fault.",
        "You are not alone in this. You are not alone in this. We can look at it together.",
        'You said "I am done with it." What did you mean?',
        '"I am done with it" is what you said, and "never again".',
        "There are two ways:\n- ask him,\n- or wait.",
        "1. Breathe in.\n2. Hold.\n3. Breathe out.\n4. Breathe in.\n5. Hold.\n6. Breathe out.",
        'Here is a reply that you could send her:\n\n"I can\'t come today."',
        "Here is a message for your boss:\n\nDear Ms Ames, I am ill.",
        "Here is the answer: rest.",
        "Here is my answer:\n- rest,\n- and a walk.",
        "Sure! Tell me more: what happened?",
        "One thing: supporters say this often.",
        "Try this:\nSeeker: a word that I like.",
        "[pauses] I hear you.",
        "Yes.",
        "\U0001f642",
        "我理解你的感受。你愿意多说一点吗？",
    ],
)
def test_a_sound_reply_stays_as_it_is(reply: str) -> None:
    assert clean_reply(reply, ESC) == reply


WORDS = st.sampled_from(
    ["I", "you", "we", "hear", "feel", "that", "it", "hard", "today,", "sorry:", "yes", "no", "3"]
)
SENTENCE = st.builds(
    lambda words, quoted, end: (
        " ".join([*words, *(['"so it is"'] if quoted else []), "then"]) + end
    ),
    st.lists(WORDS, min_size=1, max_size=12),
    st.booleans(),
    st.sampled_from([".", "?", "!", "...", ":", '."']),
)
REPLIES = st.builds(
    lambda sentences, twice, gap: gap.join([*sentences, *(sentences[:1] if twice else [])]),
    st.lists(SENTENCE, min_size=1, max_size=8, unique_by=str.casefold),
    st.booleans(),
    st.sampled_from([" ", "\n", "\n\n", "\n- "]),
)


@given(reply=REPLIES)
def test_an_ordinary_reply_stays_as_it_is(reply: str) -> None:
    assert clean_reply(reply, ESC) == reply


@given(text=st.text(max_size=300))
def test_cleaning_is_done_once(text: str) -> None:
    once = clean_reply(text, ESC)
    assert clean_reply(once, ESC) == once


@given(text=st.text(max_size=300).filter(lambda text: "{" not in text))
def test_cleaning_adds_nothing(text: str) -> None:
    assert clean_reply(text, ESC) in text


def test_a_long_reply_ends_with_a_sentence() -> None:
    long = " ".join(f"This is sentence number {number}." for number in range(1_000))
    short = clean_reply(long, ESC)
    assert long.startswith(short)
    assert short.endswith(".")
    assert 5 * ESC.reply_words < len(short.split()) < 8 * ESC.reply_words
    entries = "\n".join(f"{number}. Write down one thing" for number in range(1, 99))
    assert clean_reply(f"Try this. {entries}", ESC).endswith("one thing")
    assert clean_reply("word " * 2_000, ESC) == ("word " * 2_000).strip()


@pytest.mark.parametrize("endless", ["\n", "Supporter:\n", '"', "{", "a. ", "here is the "])
def test_cleaning_takes_no_time(endless: str) -> None:
    began = time.monotonic()
    clean_reply("Supporter: a\n" + endless * 200_000, ESC)
    clean_reply(endless * 200_000, ESC)
    assert time.monotonic() - began < 5


# In a conversation -------------------------------------------------------------------------------

SAID = {"messages": [HumanMessage("I lost my job.")]}


def graph_that_says(answer: str) -> Any:
    model = ScriptedModel(script={"generator": answer})
    return create_cooper("esc", generator_model=model).compile()


def test_a_conversation_shows_the_cleaned_reply() -> None:
    graph = graph_that_says(f'Sure! Here is the reply:\n\n"{SOUND}"')
    assert graph.invoke(SAID)["messages"][-1].text == SOUND
    parts = graph.stream(SAID, stream_mode="messages", version="v2")
    assert "".join(part["data"][0].text for part in parts) == SOUND


async def test_a_conversation_shows_the_cleaned_reply_async() -> None:
    graph = graph_that_says(f"Supporter: {SOUND}")
    parts = graph.astream(SAID, stream_mode="messages", version="v2")
    assert "".join([part["data"][0].text async for part in parts]) == SOUND


def test_words_that_were_shown_at_once_are_kept() -> None:
    graph = graph_that_says(f"Supporter: {SOUND}")
    context = {"hold_reply": False}
    parts = list(
        graph.stream(SAID, context=context, stream_mode=["messages", "values"], version="v2")
    )
    shown = "".join(part["data"][0].text for part in parts if part["type"] == "messages")
    assert shown == parts[-1]["data"]["messages"][-1].text == f"Supporter: {SOUND}"


def test_code_is_asked_for_again() -> None:
    def mends(messages: list[BaseMessage]) -> str:
        return SOUND if messages[-1].text.startswith("That says nothing") else "}{ [[ lorem"

    model = ScriptedModel(script={"generator": mends})
    graph = create_cooper("esc", generator_model=model).compile()
    assert graph.invoke(SAID)["messages"][-1].text == SOUND
