"""`cooper evaluate text` and `generation`: systems, files of replies, the baselines."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from langgraph_cooper.nodes.llm.baselines import read_reply
from langgraph_cooper.nodes.llm.call import UnreadableError
from langgraph_cooper.prompts import load_task
from tests.support.commands import Cooper
from tests.support.openai_server import OpenAIServer, Reply, Request

ESC = load_task("esc")
METRICS = {"BL-1", "BL-2", "BL-4", "RG-L", "Dist-1", "Dist-2", "Dist-3"}


def dialogues(count: int) -> str:
    lines = []
    for number in range(count):
        turns = [("usr", "Hello.", None), ("sys", "Hi, how are you?", "Others")]
        turns += [("usr", f"I lost job {number} and I feel bad.", None)]
        turns += [("sys", f"What happened at job {number}?", "Question")]
        said = [
            {"speaker": who, "text": text} | ({"strategy": strategy} if strategy else {})
            for who, text, strategy in turns
        ]
        lines.append(json.dumps({"dialog": said}))
    return "\n".join(lines)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "raw.txt"
    file.write_text(dialogues(2), "utf-8")
    return file


def lines(file: Path, *texts: str) -> Path:
    file.write_text("".join(f"{text}\n" for text in texts), "utf-8")
    return file


# -- two files ---------------------------------------------------------------------------------


def test_two_files_are_scored_line_by_line(cooper: Cooper, tmp_path: Path) -> None:
    said = lines(tmp_path / "said.txt", "How are you?", "")
    real = lines(tmp_path / "real.txt", "How are you?", "Bye.")
    command = ("evaluate", "text", "--hypotheses", said, "--references", real)
    done = cooper(*command, "--json")
    assert set(done.json()) == METRICS
    assert done.json()["RG-L"] == 50
    assert "METEOR is left out" in done.err
    assert "said.txt" in cooper(*command).out
    lines(real, "How are you?")
    cooper(*command).fails("said.txt has 2 lines", "real.txt has 1")
    lines(said)
    cooper(*command).fails("said.txt is empty")
    said.unlink()
    cooper(*command).fails("said.txt cannot be read")


# -- systems -----------------------------------------------------------------------------------


def test_the_bank_replies_to_real_histories_and_goes_on(
    cooper: Cooper, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "table.json"
    command = ("evaluate", "generation", "--data", data, "--output", out, "--json")
    report = cooper(*command).json()
    assert list(report)[:4] == ["turns", "systems", "without_openings", "p_values"]
    assert (report["turns"], report["turns_without_openings"]) == (4, 2)
    assert set(report["systems"]["bank"]) == METRICS
    assert report["p_values"] == {}
    assert json.loads(out.read_text("utf-8")) == report
    kept = tmp_path / "table.bank.jsonl"
    before = kept.read_text("utf-8")
    assert len(before.splitlines()) == 4
    # What is kept is not made again, and what a kill cut off is.
    kept.write_text("".join(before.splitlines(keepends=True)[:3]) + '{"key": "x', "utf-8")
    assert cooper(*command).json() == report
    assert kept.read_text("utf-8") == before
    told = json.loads(before.splitlines()[0])
    kept.write_text(before.replace(json.dumps(told["reply"]), '"A kept reply."'), "utf-8")
    assert cooper(*command).json()["systems"] != report["systems"]
    kept.write_text("dear diary\n", "utf-8")
    cooper(*command).fails("table.bank.jsonl holds something else")


def test_the_real_utterances_of_a_turn_do_not_reach_the_system(cooper: Cooper, data: Path) -> None:
    first = cooper("evaluate", "generation", "--data", data, "--limit", "1", "--json").json()
    said = data.read_text("utf-8").replace("Hi, how are you?", "Something else altogether")
    data.write_text(said.replace('"Others"', '"Question"'), "utf-8")
    again = cooper("evaluate", "generation", "--data", data, "--limit", "1", "--json").json()
    assert again["systems"]["bank"]["Dist-2"] == first["systems"]["bank"]["Dist-2"]
    assert again["replies"] == first["replies"]
    assert again["systems"] != first["systems"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    def answer(request: Request) -> Reply:
        if "Progress:" in request.system:
            return Reply("Progress: some.\nAspect: **Exploration**\nUtterance: What happened?")
        if "So far:" in request.system:
            return Reply("So far: none\nStrategy: Question\nUtterance: Why is that?")
        return Reply("That is sad.")

    with OpenAIServer(answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-test")
        yield server


def test_the_papers_baselines(
    cooper: Cooper, data: Path, server: OpenAIServer, tmp_path: Path
) -> None:
    command = ("evaluate", "generation", "--data", data, "--json", "--model", "tiny")
    command = (*command, "--systems", "plain,cot,mixinit", "--output", tmp_path / "t.json")
    report = cooper(*command).json()
    assert len(server.requests) == 12
    assert not any("What happened at job 1" in request.given for request in server.requests)
    assert set(report["p_values"]) == {"cot", "mixinit"}
    assert set(report["p_values"]["cot"]) == METRICS
    assert report["aspects"] == {"cot": {"exploration": 4}, "mixinit": {"exploration": 4}}
    # Of the four turns' real utterances two promote exploration, and two none of the aspects.
    rounds = report["by_round"]
    assert rounds["aspects"] == [*ESC.aspect_names, "passive"]
    assert rounds["turns"][:3] == [2, 2, 0]
    first = rounds["aspects"].index("exploration")
    shares = {name: [row[first] for row in rows[:2]] for name, rows in rounds["shares"].items()}
    assert shares == {"ground truth": [0, 1], "cot": [1, 1], "mixinit": [1, 1]}
    assert report["distances"] == {"cot": 0.5, "mixinit": 0.5}
    drawn = cooper("plot", "generation", tmp_path / "t.json", "--output", tmp_path)
    assert (tmp_path / "rounds.png").stat().st_size > 1_000
    assert "rounds.png" in drawn.out
    kept = [json.loads(line) for line in (tmp_path / "t.cot.jsonl").read_text().splitlines()]
    assert {line["reply"] for line in kept} == {"What happened?"}
    assert cooper(*command).json() == report
    assert len(server.requests) == 12


def test_of_systems_that_name_no_aspect_nothing_is_drawn(
    cooper: Cooper, data: Path, server: OpenAIServer, tmp_path: Path
) -> None:
    command = ("evaluate", "generation", "--data", data, "--json", "--model", "tiny")
    assert (
        "by_round" not in cooper(*command, "--systems", "plain", "--output", tmp_path / "t").json()
    )
    plot = ("plot", "generation", "--output", tmp_path)
    cooper(*plot, tmp_path / "t").fails("names the aspect that it puts first")
    other = tmp_path / "other.json"
    other.write_text('{"by_round": {}}', "utf-8")
    cooper(*plot, other).fails("not a report of 'cooper evaluate generation")


def test_several_dialogues_are_asked_at_once(
    cooper: Cooper, data: Path, server: OpenAIServer
) -> None:
    lines(data, dialogues(4))
    under_way, most = 0, 0

    def answer(_: Request) -> Reply:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        time.sleep(0.3)
        under_way -= 1
        return Reply("That is sad.")

    server.reply = answer
    command = ("evaluate", "generation", "--data", data, "--systems", "plain", "--json")
    report = cooper(*command, "--model", "tiny", "--at-once", 3).json()
    assert report["turns"] == len(server.requests) == 8
    assert most == 3


def test_a_failing_model_ends_the_run_and_keeps_what_there_is(
    cooper: Cooper, data: Path, server: OpenAIServer, tmp_path: Path
) -> None:
    server.reply = lambda _: Reply("Yes.") if len(server.requests) <= 2 else Reply(status=401)
    out = tmp_path / "t.json"
    command = ("evaluate", "generation", "--data", data, "--systems", "plain", "--output", out)
    cooper(*command, "--model", "tiny", "--at-once", 1).fails("'tiny'", "OPENAI_API_KEY")
    assert not out.exists()
    assert len((tmp_path / "t.plain.jsonl").read_text("utf-8").splitlines()) == 2


@pytest.mark.parametrize("answer", ["Aspect: action", "Utterance:", "Utterance:  \n"])
def test_an_answer_without_utterance_is_no_reply(answer: str) -> None:
    with pytest.raises(UnreadableError):
        read_reply("cot", ESC, answer)


def test_a_reply_is_read_without_what_stands_around_it() -> None:
    said = read_reply("cot", ESC, 'Progress: x\nAspect: comforting.\n**Utterance:** "I see."')
    assert said == ("I see.", "comforting")
    assert read_reply("plain", ESC, '"I see."') == ("I see.", None)
    assert read_reply("mixinit", ESC, "Strategy: none\nUtterance: No.").aspect is None


def test_systems_that_cannot_be_are_one_error(cooper: Cooper, data: Path, tmp_path: Path) -> None:
    command = ("evaluate", "generation", "--data", data)
    cooper(*command, "--systems", "bard").fails("no system 'bard'", "bank")
    cooper(*command, "--systems", "cot").fails("'cot'", "--model")
    for wrong in ("x", "=x", "bank=x"):
        assert cooper(*command, "--outputs", wrong).code == 2
    assert cooper(*command, "--systems", "").code == 2


# -- another system's file ---------------------------------------------------------------------


def test_a_file_of_replies_is_aligned_by_its_length(
    cooper: Cooper, data: Path, tmp_path: Path
) -> None:
    command = ("evaluate", "generation", "--data", data, "--json", "--systems", "")
    every = lines(tmp_path / "all.txt", *["Hi, how are you?", "What happened at job 0?"] * 2)
    report = cooper(*command, "--outputs", f"all={every}").json()
    assert (report["turns"], report["left_out"]) == (4, 0)
    # The turns whose strategy is not only Others.
    labelled = lines(tmp_path / "some.txt", "What happened at job 0?", "What happened at job 1?")
    both = ("--outputs", f"some={labelled}", "--outputs", f"all={every}")
    report = cooper(*command, *both).json()
    assert (report["turns"], report["left_out"]) == (2, 2)
    assert report["systems"]["some"]["RG-L"] == 100
    assert report["systems"]["all"]["RG-L"] < 100
    long = lines(tmp_path / "long.txt", *"abcde")
    cooper(*command, "--outputs", f"x={long}").fails("long.txt has 5 replies", "4 or 2")
    cooper(*command, "--outputs", f"x={lines(long)}").fails("long.txt is empty")


def test_a_file_of_another_order_is_seen(cooper: Cooper, tmp_path: Path) -> None:
    data = tmp_path / "many.txt"
    data.write_text(dialogues(120), "utf-8")
    said = [t for n in range(120) for t in ("Hi, how are you?", f"Oh no, job {n} is lost?")]
    command = ("evaluate", "generation", "--data", data, "--json", "--systems", "")
    file = lines(tmp_path / "said.txt", *said)
    assert cooper(*command, "--outputs", f"x={file}").json()["turns"] == 240
    # Two lines of the middle are missing, and two at the end make up for them.
    lines(file, *said[:150], *said[152:], "Bye.", "Bye.")
    cooper(*command, "--outputs", f"x={file}").fails("said.txt: lines", "a line is missing")


def test_kept_replies_can_be_compared_again(cooper: Cooper, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.json"
    command = ("evaluate", "generation", "--data", data, "--json")
    report = cooper(*command, "--output", out).json()
    kept = tmp_path / "t.bank.jsonl"
    again = cooper(*command, "--systems", "", "--outputs", f"bank={kept}").json()
    assert again["systems"] == report["systems"]
    lines(kept, json.dumps({"dialogue": "other", "index": 1, "reply": "x"}))
    cooper(*command, "--outputs", f"old={kept}").fails("t.bank.jsonl, line 1")
