"""`cooper` as a person and a script use it: through the shell."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_cooper.graph import ModelError, Turns, cooper_serde, create_cooper
from langgraph_cooper.graph.cli.conversation import Conversation
from langgraph_cooper.graph.cli.view import WordWrap
from langgraph_cooper.prompts import load_task
from tests.support.commands import in_process
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

COOPER = [sys.executable, "-c", "from langgraph_cooper.graph.cli import main; main()"]
SAID = "I got laid off last week and I feel anxious."


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Cooper(Protocol):
    def __call__(self, *arguments: str, stdin: str | bytes = "") -> Done: ...


@pytest.fixture
def cooper(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cooper:
    """Runs the command in this process, so that the encoder is loaded once for all tests."""
    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        monkeypatch.delenv(name)

    command = in_process(monkeypatch, capsys)

    def run(*arguments: str, stdin: str | bytes = "") -> Done:
        return Done(*command(*arguments, stdin=stdin))

    return run


def turns(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def fails(done: Done, code: int, *words: str) -> None:
    """One clear line on standard error, the exit code, and no traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_a_pipe_gets_the_whole_line_on_where_help_is(cooper: Cooper) -> None:
    done = cooper("chat", stdin="I want to kill myself.\nyes, I am safe\n")
    assert done.stdout.splitlines()[-1].endswith("112 in the EU).")


def test_json_has_one_object_per_turn_with_all_that_a_script_needs(cooper: Cooper) -> None:
    one, two = turns(cooper("chat", "--json", stdin=f"{SAID}\nI worked there for six years.\n"))
    assert [one["turn"], two["turn"]] == [1, 2]
    assert one["user"] == SAID
    assert one["reply"]
    assert one["seconds"] > 0
    assert list(one["aspects"]) == ["exploration", "comforting", "action"]
    for aspect in one["aspects"].values():
        assert set(aspect) == {"state", "progress", "target", "candidates"}
        assert aspect["candidates"]
        assert set(aspect["candidates"][0]) == {"topic", "strategy"}
    assert [r["rank"] for r in one["ranking"]] == list(range(1, 14))
    assert set(one["ranking"][0]) == {"rank", "score", "aspect", "strategy", "topic"}


def test_the_persuader_opens(cooper: Cooper) -> None:
    opening, answer = turns(
        cooper("chat", "--task", "persuasion", "--json", stdin="I'm fine, thanks. And you?\n")
    )
    assert opening["user"] is None
    assert "Save the Children" in opening["reply"]
    assert answer["turn"] == 2


def test_text_mode_shows_agents_on_request(cooper: Cooper) -> None:
    plain = cooper("chat", stdin=f"{SAID}\n")
    shown = cooper("chat", "--show-agents", stdin=f"{SAID}\n")
    assert plain.stdout.startswith("supporter: ")
    assert "ranking" not in plain.stdout
    for word in ("exploration", "comforting", "action", "ranking", "heading for"):
        assert word in shown.stdout


def test_a_killed_conversation_continues(cooper: Cooper, tmp_path: Path) -> None:
    db = str(tmp_path / "chat.sqlite")
    command = [*COOPER, "chat", "--json", "--db", db, "--thread", "t"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{SAID}\n")
    process.stdin.flush()
    first = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.communicate()

    (second,) = turns(
        cooper("chat", "--json", "--db", db, "--thread", "t", stdin="I can't tell my wife.\n")
    )
    assert (first["turn"], second["turn"]) == (1, 2)
    assert "laid off" in second["aspects"]["exploration"]["state"]
    assert second["reply"] != first["reply"]


def test_an_unfinished_turn_is_finished_first(cooper: Cooper, tmp_path: Path) -> None:
    db = str(tmp_path / "chat.sqlite")
    failed = cooper("chat", "--json", "--db", db, "--model", "m", stdin=f"{SAID}\n")
    fails(failed, 1, "'m'", "needs a key")
    done = turns(cooper("chat", "--json", "--db", db, stdin="I can't tell my wife.\n"))
    assert [turn["user"] for turn in done] == [SAID, "I can't tell my wife."]
    assert [turn["turn"] for turn in done] == [1, 2]


@pytest.mark.usefixtures("quick_retries")
def test_a_dead_endpoint_is_one_line_a_turn_and_yet_a_reply(
    cooper: Cooper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    lines = f"{SAID}\nI can't tell my wife.\n"
    done = cooper("chat", "--json", "--model", "m", stdin=lines)
    one, two = turns(done)
    assert one["reply"] != two["reply"]
    assert {(fault["step"], fault["aspect"]) for fault in two["faults"]} == {
        ("generator", None),
        *((s, a) for s in ("tracker", "promoter") for a in ("exploration", "comforting", "action")),
    }
    assert done.returncode == 1
    told = done.stderr.splitlines()
    assert len(told) == 2
    assert told[0] == told[1]
    for words in ("'m' at http://127.0.0.1:9/v1 cannot be reached", "a prepared reply stands in"):
        assert told[0].count(words) == 1
    assert "sk-secret" not in done.stderr


@pytest.mark.usefixtures("quick_retries")
def test_a_dead_guard_model_is_one_line_a_turn_and_the_classifier_decides(
    cooper: Cooper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    done = cooper("chat", "--guard-model", "m", stdin="I lost my job last week.\nhello\n")
    assert done.stderr.count("cannot be reached") == 1
    assert "its classifier decides alone" in done.stderr
    assert len(done.stdout.strip().splitlines()) >= 2


def test_lines_that_cannot_be_answered_are_named_and_the_others_answered(cooper: Cooper) -> None:
    lines = b"   \n" + b"a" * 100_000 + b"\n\xff\xfe I feel {sad} and <|alone|>\n"
    done = cooper("chat", "--json", stdin=lines)
    (turn,) = turns(done)
    assert "{sad}" in turn["user"]
    assert done.returncode == 1
    assert "line 1: the message is empty" in done.stderr
    assert "line 2: the message has 100,000 characters" in done.stderr
    assert "Traceback" not in done.stderr


def test_usage_mistakes(cooper: Cooper) -> None:
    fails(cooper("chat", "--task", "sales", stdin=""), 2, "unknown task 'sales'", "esc, persuasion")
    assert cooper("chat", "--no-such-option").returncode == 2
    assert cooper("nonsense").returncode == 2


def test_a_malformed_task_file_is_named_with_its_field(cooper: Cooper, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\ntitle = "a talk"\n', encoding="utf-8")
    fails(cooper("chat", "--task", str(file)), 1, str(file), "goal")
    file.write_text("name = [", encoding="utf-8")
    fails(cooper("chat", "--task", str(file)), 1, str(file), "TOML")


def test_a_model_without_a_key(cooper: Cooper) -> None:
    fails(cooper("chat", "--model", "gpt-4o-mini", stdin=f"{SAID}\n"), 1, "OPENAI_API_KEY")


def test_a_db_that_is_not_sqlite_is_left_as_it_is(cooper: Cooper, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("my diary " * 500, encoding="utf-8")
    fails(cooper("chat", "--db", str(file), stdin=f"{SAID}\n"), 1, str(file), "not an SQLite")
    assert file.read_text(encoding="utf-8").startswith("my diary")
    missing = tmp_path / "no" / "folder.sqlite"
    fails(cooper("chat", "--db", str(missing), stdin=f"{SAID}\n"), 1, str(missing))


def test_another_programs_database_is_refused(cooper: Cooper, tmp_path: Path) -> None:
    file = tmp_path / "other.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE checkpoints (name TEXT)")
    connection.close()
    fails(cooper("chat", "--db", str(file), stdin=f"{SAID}\n"), 1, str(file))


def test_a_thread_of_another_task_is_refused_and_kept(cooper: Cooper, tmp_path: Path) -> None:
    db = str(tmp_path / "chat.sqlite")
    cooper("chat", "--db", db, "--thread", "t", stdin=f"{SAID}\n")
    other = cooper("chat", "--task", "persuasion", "--db", db, "--thread", "t", stdin="Hello\n")
    fails(other, 1, "'t'", "belongs to the task 'esc'")
    (turn,) = turns(cooper("chat", "--json", "--db", db, "--thread", "t", stdin="I feel low.\n"))
    assert turn["turn"] == 2


def test_a_damaged_checkpoint_row_is_one_error(cooper: Cooper, tmp_path: Path) -> None:
    db = tmp_path / "chat.sqlite"
    cooper("chat", "--db", str(db), "--thread", "t", stdin=f"{SAID}\n")
    with sqlite3.connect(db) as connection:
        connection.execute("UPDATE checkpoints SET checkpoint = X'00FF'")
    connection.close()
    fails(cooper("chat", "--db", str(db), "--thread", "t", stdin="Hello\n"), 1, "'t'", str(db))


@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign"])
def test_bad_ranker_checkpoints(cooper: Cooper, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "ranker"
    if damage != "missing":
        folder.mkdir()
        (folder / "config.json").write_text(
            '{"model_type": "bert"}' if damage == "foreign" else '{"format": "lang', "utf-8"
        )
    fails(cooper("chat", "--ranker", str(folder), stdin=f"{SAID}\n"), 1, str(folder))


def test_graph_and_tasks_print_what_they_say(cooper: Cooper) -> None:
    drawn = cooper("graph", "--task", "persuasion").stdout
    assert drawn.startswith("---\nconfig:")
    assert "subgraph proposition" in drawn
    listed = cooper("tasks").stdout
    assert "esc:" in listed
    assert "persuasion:" in listed


def test_importing_the_package_loads_no_torch() -> None:
    code = (
        "import sys; from langgraph_cooper.graph import create_cooper as c; c('esc').compile()"
        "; import langgraph_cooper.graph.cli; print({'torch', 'sentence_transformers',"
        " 'transformers', 'langchain_openai'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_command_line_starts_without_what_its_commands_need() -> None:
    code = (
        "import sys; import langgraph_cooper.graph.cli.app; print({'torch', 'langgraph', 'numpy',"
        " 'langchain_core', 'transformers', 'sklearn', 'openai'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_after_a_fault_that_a_person_must_mend_the_model_is_asked_once_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ScriptedModel(script={"generator": ModelError("the key is refused")})
    graph = create_cooper("esc", model=model, ranker=FakeRanker()).compile(
        checkpointer=InMemorySaver()
    )
    typed = iter(["I lost my job.", " ", "a" * 8_001, "It was last week."])

    def type_next(*_: object) -> str:
        text = next(typed, None)
        if text is None:
            raise EOFError
        if text.startswith("It was"):
            model.script = {"generator": "I hear you."}
        return text

    monkeypatch.setattr("builtins.input", type_next)
    conversation = Conversation(
        task=load_task("esc"), graph=graph, turns=Turns(graph), thread="anna", as_json=True
    )
    conversation.converse()
    output = capsys.readouterr()
    told = [json.loads(line) for line in output.out.splitlines()]
    assert [turn["user"] for turn in told] == ["It was last week."]
    assert len(model.asked("generator")) == 2  # once a line, and the last answer is to both
    assert "I lost my job. It was last week." in model.asked("generator")[1].messages[-1].text
    assert re.findall("error: .{18}", output.err) == [
        "error: the key is refused",
        "error: the message has 8,",
    ]
    assert "Goodbye." in output.err


class Typed:
    """A person at a terminal, in place of `input`."""

    def __init__(self, *texts: str) -> None:
        self.prompts: list[str] = []
        self._texts = iter(texts)

    def __call__(self, prompt: str = "") -> str:
        self.prompts.append(prompt)
        text = next(self._texts, None)
        if text is None:
            raise EOFError
        return text


def talk(monkeypatch: pytest.MonkeyPatch, saver: InMemorySaver, *typed: str) -> Typed:
    graph = create_cooper("esc", model=ScriptedModel(), ranker=FakeRanker())
    compiled = graph.compile(checkpointer=saver)
    person = Typed(*typed)
    monkeypatch.setattr("builtins.input", person)
    Conversation(
        task=load_task("esc"), graph=compiled, turns=Turns(compiled), thread="anna"
    ).converse()
    return person


def test_json_that_a_person_writes_to_a_file_holds_the_objects_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = create_cooper("esc", model=ScriptedModel(), ranker=FakeRanker())
    compiled = graph.compile(checkpointer=InMemorySaver())
    typed = ("I lost my job.", "/help", "/why", "/agents", "/foo", "/new", "It was last week.")
    person = Typed(*typed)
    monkeypatch.setattr("builtins.input", person)
    Conversation(
        task=load_task("esc"), graph=compiled, turns=Turns(compiled), thread="a", as_json=True
    ).converse()
    output = capsys.readouterr()
    told = [json.loads(line) for line in output.out.splitlines()]
    assert [turn["user"] for turn in told] == ["I lost my job.", "It was last week."]
    assert set(person.prompts) == {""}  # `input` would write it to standard output
    assert output.err.count("seeker: ") == len(typed) + 1
    for words in ("/help lists commands", "score", "no command /foo", "A new conversation", "Good"):
        assert words in output.err


class TypedBytes(io.TextIOWrapper):
    """A terminal's bytes, of whatever encoding."""

    def isatty(self) -> bool:
        return True


def test_a_letter_that_the_locale_cannot_read_does_not_end_the_conversation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = create_cooper("esc", model=ScriptedModel(), ranker=FakeRanker())
    compiled = graph.compile(checkpointer=InMemorySaver())
    typed = io.BytesIO("I lost my café.\nIt was last week.\n".encode("latin-1"))
    monkeypatch.setattr(sys, "stdin", TypedBytes(typed, "utf-8"))
    Conversation(
        task=load_task("esc"), graph=compiled, turns=Turns(compiled), thread="a"
    ).converse()
    said = compiled.get_state({"configurable": {"thread_id": "a"}}).values["messages"]
    assert [said[0].text, said[2].text] == ["I lost my caf�.", "It was last week."]


@pytest.mark.parametrize("word", ["exit", " Quit "])
def test_a_word_to_leave_is_no_message(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saver = InMemorySaver()
    person = talk(monkeypatch, saver, "I lost my job.", word, "It was last week.")
    assert len(person.prompts) == 2
    assert set(person.prompts) == {"seeker: "}  # all of it is known to `input`
    assert capsys.readouterr().out.count("supporter: ") == 1
    assert len(saver.storage) == 1


def test_who_comes_back_is_shown_the_last_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saver = InMemorySaver()
    talk(monkeypatch, saver, "I lost my job.", "It was last week.", "[b]I feel low.[/b]")
    assert "earlier messages" not in capsys.readouterr().out
    talk(monkeypatch, saver)
    shown = capsys.readouterr().out
    assert "(2 earlier messages)" in shown
    assert "I lost my job." not in shown
    answer = "supporter: I hear you, and I am glad you told me."
    assert shown.split("(2 earlier messages)\n")[1].startswith(
        f"seeker: It was last week.\n{answer}\nseeker: [b]I feel low.[/b]\n{answer}\n"
    )


@given(st.text("ab \n", max_size=80), st.lists(st.integers(0, 80), max_size=8), st.integers(4, 20))
def test_words_that_come_in_pieces_are_broken_between_them(
    text: str, cuts: list[int], width: int
) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    wrap = WordWrap(width, column=4)
    shown = "".join(wrap.feed(text[a:b]) for a, b in pairwise(places)) + wrap.end()
    assert shown.split() == text.split()  # no word is broken
    for line in ("1234" + shown).split("\n"):
        assert len(line) <= width or len(line.split()) == 1 or line.startswith("1234")
    first = ("1234" + shown).split("\n")[0]
    assert len(first) <= max(width, 4)


def test_the_version(cooper: Cooper) -> None:
    done = cooper("--version")
    assert (done.returncode, done.stdout) == (0, f"cooper {version('langgraph-cooper')}\n")


def test_control_c_while_models_load_ends_it_and_keeps_what_was_said(tmp_path: Path) -> None:
    """The ranker takes a minute to load; it is Ctrl-C that ends it."""
    code = """if True:
        import signal, time
        import langgraph_cooper.ranker.load as load
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
        def slowly(*_, **__):
            print("loading", flush=True)
            time.sleep(60)
        load.load_ranker = slowly
        from langgraph_cooper.graph.cli import main
        main()"""
    db = str(tmp_path / "chat.sqlite")
    process = subprocess.Popen(
        [sys.executable, "-c", code, "chat", "--db", db, "--thread", "t", "--json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{SAID}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "loading\n"
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=50)
    assert time.monotonic() - pressed < 30  # .04 s where no other test holds the cores
    assert (process.returncode, told) == (130, "")
    assert list((tmp_path / "chat.sqlite-turns").iterdir()) == []
    connection = sqlite3.connect(db, check_same_thread=False)
    graph = create_cooper("esc", ranker=FakeRanker()).compile(
        checkpointer=SqliteSaver(connection, serde=cooper_serde())
    )
    assert Turns(graph).send("t", None).state["messages"][0].text == SAID
    connection.close()


def test_a_terminal_that_cannot_show_what_people_wrote(tmp_path: Path) -> None:
    db = str(tmp_path / "chat.sqlite")
    connection = sqlite3.connect(db, check_same_thread=False)
    graph = create_cooper("esc", ranker=FakeRanker()).compile(checkpointer=SqliteSaver(connection))
    Turns(graph).send("Анна", SAID)
    connection.close()
    done = subprocess.run(
        [*COOPER, "threads", "list", "--db", db], env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "????" in done.stdout


def test_a_file_that_is_refused_is_closed(
    cooper: Cooper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, opened = tmp_path / "notes.txt", []
    file.write_text("my diary " * 500, encoding="utf-8")
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *a, **k: opened.append(connect(*a, **k)) or opened[-1]
    )
    fails(cooper("chat", "--db", str(file), stdin=f"{SAID}\n"), 1, "not an SQLite")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


class Terminal(io.StringIO):
    """A terminal that keeps what was written to it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_a_person_sees_what_is_under_way_in_a_line_that_vanishes(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr("builtins.input", lambda *_: next(typed))
    typed = iter(["I lost my job."])
    delays = {"tracker": 0.5, "promoter:action": 0.5, "generator": 0.5}
    model = ScriptedModel(delays=delays)
    graph = create_cooper("esc", model=model, ranker=FakeRanker()).compile(
        checkpointer=InMemorySaver()
    )
    conversation = Conversation(task=load_task("esc"), graph=graph, turns=Turns(graph), thread="a")
    with pytest.raises((StopIteration, RuntimeError)):
        conversation.converse()
    written = screen.getvalue()
    assert "supporter: I hear you" in written.replace("\x1b[0m", "").replace("\x1b[1m", "")
    shown = [
        "tracking: exploration, comforting, action",
        "looking for topics: action",
        "writing",
    ]
    assert [words in written for words in shown] == [terminal] * 3
    assert ("\x1b[2K" in written) == terminal  # the line is erased


def test_control_c_ends_it_without_a_word_while_it_starts() -> None:
    code = """if True:
        import sys
        from langgraph_cooper.graph.cli import main
        assert not {"langgraph", "typer", "pydantic"} & set(sys.modules)
        class Impatient:
            def find_spec(self, name, *_):
                if name == "langgraph_cooper.graph.cli.app":
                    raise KeyboardInterrupt
        sys.meta_path.insert(0, Impatient())
        main()"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_closed_input_is_one_line() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *COOPER, "chat"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    fails(Done(done.returncode, done.stdout, done.stderr), 1, "standard input is closed")


def test_a_full_disk_behind_the_output_is_one_line() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*COOPER, "tasks"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "error: the output: No space left on device\n"


def test_who_speaks_of_wanting_to_die_is_told_where_help_is(cooper: Cooper) -> None:
    said = ("I want to kill myself.", "I see no reason to go on living", "I wanna die lol")
    replies = [turn["reply"] for turn in turns(cooper("chat", "--json", stdin="\n".join(said)))]
    assert len(set(replies)) == 3
    assert all("emergency number" in reply or "988" in reply for reply in replies[:2])
    assert not any("wanna" in reply for reply in replies)
