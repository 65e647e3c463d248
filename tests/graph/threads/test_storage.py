"""A turn adds the same to the storage at any length, and what is saved once is read everywhere."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.graph.state import CompiledStateGraph

from langgraph_cooper.graph import InputError, Turns, cooper_serde, create_cooper, prune_thread
from langgraph_cooper.nodes import channels
from tests.support.postgres import NoPostgresError, postgres
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

Graph = CompiledStateGraph[Any, Any, Any, Any]
THREAD = "anna"
CONFIG: Any = {"configurable": {"thread_id": THREAD}}
EARLIER = Path(__file__).with_name("earlier.sqlite.gz")
ANSWER = "I hear you, and I am glad you told me."
SOME = 12  # turns: more than fit between two snapshots, of the messages and of the reports


@contextmanager
def sqlite(file: Path, *, safe: bool = True) -> Iterator[SqliteSaver]:
    with closing(sqlite3.connect(file, check_same_thread=False)) as connection:
        yield SqliteSaver(connection, serde=cooper_serde() if safe else None)


def cooper(saver: Any, model: ScriptedModel | None = None) -> Graph:
    return create_cooper("esc", model=model, ranker=FakeRanker()).compile(checkpointer=saver)


def say(graph: Graph, text: str, config: Any = CONFIG) -> dict[str, Any]:
    given = {"messages": [HumanMessage(text)]}
    state: dict[str, Any] = graph.invoke(given, config, durability="sync")
    return state


def talk(graph: Graph, turns: int) -> None:
    for number in range(turns):
        say(graph, f"At night I go through the numbers again, part {number}.")


def texts(state: Any) -> list[str]:
    return [message.text for message in state["messages"]]


# -------------------------------------------------------------------- the size


def growth(graph: Graph, size: Any, turns: int) -> list[float]:
    """The bytes that a turn adds, over each ten turns."""
    sizes = [size()]
    for _ in range(turns // 10):
        talk(graph, 10)
        sizes.append(size())
    return [(after - before) / 10 for before, after in pairwise(sizes)]


@pytest.mark.parametrize(
    ("model", "safe", "turns"),
    [(None, False, 40), (None, True, 20), (ScriptedModel(), True, 20)],
    ids=["offline, LangGraph's serializer", "offline", "language model"],
)
def test_a_turn_adds_the_same_at_any_length(
    model: ScriptedModel | None, safe: bool, turns: int, tmp_path: Path
) -> None:
    file = tmp_path / "talks.sqlite"
    with sqlite(file, safe=safe) as saver:

        def size() -> int:
            saver.setup()
            saver.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return file.stat().st_size

        found = growth(cooper(saver, model), size, turns)
    assert max(found) < 60_000
    assert found[-1] < 1.2 * found[0]


def test_postgres_takes_no_more() -> None:
    saver_module = pytest.importorskip("langgraph.checkpoint.postgres")
    try:
        with postgres() as uri, saver_module.PostgresSaver.from_conn_string(uri) as saver:
            saver.setup()
            saver.serde = cooper_serde()
            tables = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
            query = f"SELECT {' + '.join(f'pg_total_relation_size({t!r})' for t in tables)} AS size"

            def size() -> int:
                return int(saver.conn.execute(query).fetchone()["size"])

            found = growth(cooper(saver), size, 30)
            assert max(found) < 60_000
            # Its files grow by whole pages, and first by those of ten indexes.
            assert found[-1] < 1.2 * found[1]
    except NoPostgresError as reason:
        pytest.skip(str(reason))


def test_an_agents_checkpoints_hold_nothing_of_the_conversation(tmp_path: Path) -> None:
    with sqlite(tmp_path / "talks.sqlite", safe=False) as saver:
        say(cooper(saver, ScriptedModel()), "Only the conversation itself knows these words.")
        query = "SELECT {} FROM {} WHERE checkpoint_ns <> ''"
        rows = [
            row[0]
            for columns in (("checkpoint", "checkpoints"), ("value", "writes"))
            for row in saver.conn.execute(query.format(*columns))
        ]
    assert len(rows) > 15
    assert not any(b"itself knows" in row for row in rows if row)


# ------------------------------------------- what one can do with a conversation


@pytest.fixture(params=["memory", "sqlite", "sqlite, LangGraph's serializer"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "memory":
        yield InMemorySaver()
        return
    with sqlite(tmp_path / "talks.sqlite", safe=request.param == "sqlite") as saver:
        yield saver


@pytest.fixture
def _frequent_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages are saved whole every eight turns."""
    monkeypatch.setattr(channels, "FEWEST", 16)
    assert channels.REPORTS < SOME


@pytest.mark.usefixtures("_frequent_snapshots")
def test_a_long_conversation_is_read_again_whole(saver: Any) -> None:
    graph = cooper(saver)
    said = []
    for number in range(SOME):
        said.append(f"We could move, part {number}.")
        state = say(graph, said[-1])
    assert texts(state)[::2] == said
    again = cooper(saver).get_state(CONFIG).values
    assert again == state
    assert isinstance(again["messages"][-1], AIMessage)


@pytest.mark.usefixtures("_frequent_snapshots")
def test_every_state_of_the_past_is_what_it_was(saver: Any) -> None:
    graph = cooper(saver)
    states = [say(graph, f"He never asks how I am, part {number}.") for number in range(SOME)]
    ends = [found.values for found in graph.get_state_history(CONFIG) if not found.next]
    assert ends == states[::-1]


def test_a_fork_and_what_it_was_forked_from_go_on_apart(saver: Any) -> None:
    graph = cooper(saver)
    talk(graph, 3)
    middle, before = graph.get_state(CONFIG).config, texts(graph.get_state(CONFIG).values)
    say(graph, "The one way.")
    first = graph.get_state(CONFIG).config
    forked = say(graph, "The other way.", middle)
    assert texts(forked)[:-1] == [*before, "The other way."]
    assert texts(graph.get_state(CONFIG).values) == texts(forked)  # the thread goes on from it
    assert texts(graph.get_state(first).values)[:-1] == [*before, "The one way."]
    assert texts(say(graph, "And on."))[6:9:2] == ["The other way.", "And on."]
    assert texts(say(graph, "And on.", first))[6:9:2] == ["The one way.", "And on."]


def test_messages_are_changed_and_removed_like_any(saver: Any) -> None:
    graph = cooper(saver)
    talk(graph, 2)
    messages = graph.get_state(CONFIG).values["messages"]
    changes = [HumanMessage("I meant this.", id=messages[0].id), RemoveMessage(messages[1].id)]
    graph.update_state(CONFIG, {"messages": changes}, as_node="reply_guard")
    assert texts(graph.get_state(CONFIG).values) == ["I meant this.", *map(str, texts_of(messages))]
    with pytest.raises(ValueError, match="doesn't exist"):
        graph.update_state(CONFIG, {"messages": [RemoveMessage("none")]}, as_node="reply_guard")
    assert texts(say(graph, "Go on."))[0] == "I meant this."
    fresh = [RemoveMessage(REMOVE_ALL_MESSAGES), HumanMessage("From the beginning.")]
    assert len(graph.invoke({"messages": fresh}, CONFIG)["messages"]) == 2
    assert texts(cooper(saver).get_state(CONFIG).values)[0] == "From the beginning."


def texts_of(messages: Any) -> list[str]:
    return [message.text for message in messages[2:]]


@pytest.mark.parametrize(
    "form", ["text", [("user", "text")], [{"role": "user", "content": "text"}]]
)
def test_a_message_in_any_form_keeps_one_id(saver: Any, form: Any) -> None:
    graph = cooper(saver)
    graph.invoke({"messages": form}, CONFIG, durability="sync")
    graph.invoke({"messages": form}, CONFIG, durability="sync")
    ids = [[m.id for m in cooper(saver).get_state(CONFIG).values["messages"]] for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 4
    assert graph.get_state(CONFIG).values["exploration"]["covers"]["messages"] == 3


def test_a_report_that_a_person_edits_is_what_the_next_turn_reads(saver: Any) -> None:
    model = ScriptedModel()
    graph = cooper(saver, model)
    say(graph, "I lost my job.")
    edited = {**graph.get_state(CONFIG).values["action"], "state": "A person wrote this."}
    graph.update_state(CONFIG, {"action": edited}, as_node="reply_guard")
    model.calls.clear()
    say(graph, "It was on Friday.")
    (call,) = model.asked("tracker:action")
    assert "A person wrote this." in call.messages[1].text


def test_before_the_first_turn_a_thread_has_no_reports() -> None:
    assert not {"action", "ranking"} & set(cooper(InMemorySaver()).get_state(CONFIG).values)


# -------------------------------------------------------------------- pruning


@pytest.mark.usefixtures("_frequent_snapshots")
def test_pruning_a_long_conversation_leaves_all_of_it(saver: Any) -> None:
    graph = cooper(saver)
    talk(graph, SOME)
    before = graph.get_state(CONFIG)
    assert Turns(graph).prune(THREAD, keep=2) > SOME
    assert cooper(saver).get_state(CONFIG).values == before.values
    talk(graph, 3)
    whole = graph.get_state(CONFIG).values
    assert len(whole["messages"]) == 2 * SOME + 6
    assert prune_thread(saver, THREAD) > 20
    assert texts(say(cooper(saver), "And now?"))[:-2] == texts(whole)


def test_a_turn_that_begins_while_a_thread_is_pruned_is_not_harmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from langgraph_cooper.graph.threads import pruning

    with sqlite(tmp_path / "talks.sqlite") as saver:
        graph = cooper(saver)
        talk(graph, 3)
        monkeypatch.setattr(pruning, "complete", lambda *_: say(graph, "Meanwhile."))
        with pytest.raises(InputError, match="ran while it was pruned"):
            prune_thread(saver, THREAD)
        assert len(graph.get_state(CONFIG).values["messages"]) == 8


def joined(before: list[str], writes: list[list[str]]) -> list[str]:
    return before + [word for write in writes for word in write]


class Mine(MessagesState):
    words: Annotated[list[str], DeltaChannel(joined)]


def test_a_channel_of_ones_own_is_put_together_by_its_graph() -> None:
    outer = StateGraph(Mine)
    outer.add_node("support", create_cooper("esc", ranker=FakeRanker()).compile(checkpointer=True))
    outer.add_edge(START, "support")
    saver = InMemorySaver()
    graph = outer.compile(checkpointer=saver)
    for word in "abc":
        graph.invoke({"messages": [HumanMessage(f"I feel low, {word}.")], "words": [word]}, CONFIG)
    with pytest.raises(InputError, match="'words' is a DeltaChannel"):
        prune_thread(saver, THREAD)
    assert Turns(graph).prune(THREAD) > 20
    state = say(graph, "And now?")
    assert state["words"] == ["a", "b", "c"]
    assert len(state["messages"]) == 8


# ------------------------------------------------- databases of earlier versions


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """Two threads of three turns as version 0.1.0's first form saved them, one cut in its fourth.

    Every checkpoint holds all messages and reports, those of the agents too.
    """
    file = tmp_path / "earlier.sqlite"
    file.write_bytes(gzip.decompress(EARLIER.read_bytes()))
    return file


def test_an_earlier_conversation_goes_on(earlier: Path) -> None:
    with sqlite(earlier) as saver:
        model = ScriptedModel()
        turns = Turns(cooper(saver, model))
        reply = turns.send("ended", HumanMessage("It is a new day.", id="new"))
        said = [f"I feel low, part {number}." for number in range(3)]
        assert texts(reply.state)[::2] == [*said, "It is a new day."]
        assert "signal" not in reply.state["action"]
        assert "What is known about action." in model.asked("tracker:action")[0].messages[1].text
        repeated = turns.send("ended", HumanMessage(said[1], id="m-1"))
        assert repeated.repeated
        turns.prune("ended")
        assert texts(turns.send("ended", "And on.").state)[:8] == texts(reply.state)


def test_an_earlier_turn_that_was_cut_is_finished(earlier: Path) -> None:
    with sqlite(earlier) as saver:
        model = ScriptedModel()
        graph = cooper(saver, model)
        reply = Turns(graph).send("cut", HumanMessage("Are you there?", id="m-3"))
        assert texts(reply.state)[-2:] == ["Are you there?", ANSWER]
        # What had finished is not done again.
        assert {call.asked.key for call in model.calls} == {"promoter:comforting", "generator"}
        assert len(reply.state["ranking"]) >= 12
        history = graph.get_state_history({"configurable": {"thread_id": "cut"}})
        assert {len(found.values["messages"]) for found in history if not found.next} == {6, 8}
