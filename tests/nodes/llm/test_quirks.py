"""What is known of a server outlives a fork, and what a thread of the parent holds does not."""

from __future__ import annotations

import faulthandler
import os
import threading

import pytest

from langgraph_cooper.nodes.llm import chat_model, quirks
from langgraph_cooper.nodes.llm.quirks import MOST_KNOWN, Habits, habits_of
from tests.support.processes import forked


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forks beside threads
def test_a_child_waits_for_no_thread_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    model, begun, over, parent = chat_model("some-model"), threading.Event(), threading.Event(), 0

    def slots(_: object) -> int:
        if os.getpid() == parent:
            begun.set()
            over.wait(60)
        return 3

    def first_goes_at_once() -> bool:
        with habits.first("tracker") as before:
            return before.done()

    def work() -> list[int | bool | None]:
        faulthandler.dump_traceback_later(30, exit=True)
        # The second one is no first one any more.
        return [habits.slots(model), first_goes_at_once(), first_goes_at_once(), habits.thinks]

    parent, habits = os.getpid(), Habits(model)
    habits.thinks = True
    monkeypatch.setattr(quirks, "total_slots", slots)
    asking = threading.Thread(target=habits.slots, args=[model])
    asking.start()
    try:
        assert begun.wait(30)
        with habits.first("tracker"):  # a request is under way
            assert forked(work) == (0, [3, True, True, True])
    finally:
        over.set()
        asking.join()


def test_the_longest_unused_of_many_models_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    model = chat_model("some-model")

    def habits(name: str) -> Habits:
        return habits_of(model.model_copy(update={"model_name": name}))

    used, unused = habits("used"), habits("unused")
    for number in range(MOST_KNOWN):
        habits(f"model-{number}")
        assert habits("used") is used
    assert habits("unused") is not unused
    quirks.forget()
