"""Annotation that is killed, that runs out of disk, or whose model fails: nothing done is lost."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, PrivateAttr

from langgraph_cooper.graph import CooperContext
from langgraph_cooper.graph.annotation.annotate import AnnotationError, annotate
from langgraph_cooper.graph.annotation.cost import estimate_annotation
from langgraph_cooper.graph.cli import main
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import DataError, Dialogue, LabelledUtterance
from langgraph_cooper.ranker.data.jsonl import read_annotated
from tests.support.role_model import RoleModel

ESC = load_task("esc")
ROOT = Path(__file__).parents[3]


def dialogues(count: int, said: str = "I lost my job") -> list[Dialogue]:
    """Two system turns each."""
    sides = ("user", "system", "user", "system", "user")
    return [
        Dialogue(
            id=f"d{number}",
            utterances=tuple(
                LabelledUtterance(speaker=side, text=f"{said}, {number}, {place}.")
                for place, side in enumerate(sides)
            ),
        )
        for number in range(count)
    ]


class Failing(RoleModel):
    """Answers so many calls, then breaks off every answer until it is mended."""

    left: int = 0
    _counting: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def _generate(self, *given: Any, **more: Any) -> Any:
        with self._counting:  # three agents ask at once
            if self.left <= 0:
                raise TimeoutError
            self.left -= 1
        return super()._generate(*given, **more)


async def test_a_fault_of_the_model_keeps_what_is_done_and_it_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out.jsonl"
    model = Failing(left=40)  # a dialogue takes 15: two turns of three agents, three last summaries
    with pytest.raises(AnnotationError) as error:
        await annotate(dialogues(5), ESC, out, model=model, at_once=1)
    assert "did not answer in time" in str(error.value)
    assert "2 of 5 dialogues are in" in str(error.value)
    assert [d.id for d in read_annotated(out)] == ["d0", "d1"]
    model.left = 1_000
    assert (await annotate(dialogues(5), ESC, out, model=model, at_once=1))[:2] == (2, 3)
    assert [d.id for d in read_annotated(out)] == ["d0", "d1", "d2", "d3", "d4"]
    assert model.left == 1_000 - 3 * 15


async def test_a_turn_has_as_long_as_it_is_given(tmp_path: Path) -> None:
    class Slow(RoleModel):
        def _generate(self, *given: Any, **more: Any) -> Any:
            time.sleep(0.5)
            return super()._generate(*given, **more)

    out = tmp_path / "out.jsonl"
    with pytest.raises(AnnotationError, match=r"turn's deadline.*0 of 1 dialogues are in"):
        await annotate(dialogues(1), ESC, out, model=Slow(), limits=CooperContext(deadline=0.5))
    assert (
        await annotate(dialogues(1), ESC, out, model=Slow(), limits=CooperContext(deadline=30))
    ).made == 1


async def test_dialogues_under_way_are_finished_after_a_fault(tmp_path: Path) -> None:
    class FailingOnce(RoleModel):
        def _generate(self, messages: Any, *given: Any, **more: Any) -> Any:
            if "poison, 1," in str(messages[-1].content):
                raise TimeoutError
            return super()._generate(messages, *given, **more)

    out = tmp_path / "out.jsonl"
    with pytest.raises(AnnotationError, match="of 99 dialogues are in"):
        await annotate(dialogues(99, "poison"), ESC, out, model=FailingOnce(), at_once=3)
    finished = [d.id for d in read_annotated(out)]
    assert {"d0", "d2"} <= set(finished)
    # Others follow d0 and d2 until the fault is known, in order and whole; none after it.
    assert sorted(finished, key=lambda name: int(name[1:])) == [
        "d0", *(f"d{number}" for number in range(2, len(finished) + 1))
    ]  # fmt: skip
    assert len(finished) < 98


async def test_what_a_model_did_not_give_is_counted(tmp_path: Path, role_model: RoleModel) -> None:
    class Curt(RoleModel):
        def _generate(self, messages: Any, *given: Any, **more: Any) -> Any:
            made = super()._generate(messages, *given, **more)
            answer = made.generations[0].message
            answer.content = answer.text.replace("Candidate number", "Candidate")
            if "JSON alone" in messages[0].text:
                answer.content = '{"candidates": [{"topic": "Ask about it"}]}'
            return made

    full = await annotate(dialogues(1), ESC, tmp_path / "full.jsonl", model=role_model)
    short = await annotate(dialogues(1), ESC, tmp_path / "short.jsonl", model=Curt())
    assert full.filled == 0
    assert short.filled == 2 * 3 * (ESC.m - 1)


SLOW = """
import asyncio, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.graph.annotation.test_annotate import ESC, dialogues
from tests.support.role_model import RoleModel
from langgraph_cooper.graph.annotation.annotate import annotate
class Slow(RoleModel):
    def _generate(self, *given, **more):
        time.sleep(0.02)
        return super()._generate(*given, **more)
asyncio.run(annotate(dialogues(200), ESC, Path(sys.argv[1]), model=Slow(), at_once=2))
"""


async def test_a_real_kill_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    program = SLOW.format(root=str(ROOT))
    process = subprocess.Popen([sys.executable, "-c", program, str(out)])
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if out.exists() and out.read_bytes().count(b"\n") >= 2:
            break
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = out.read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]
    count = kept.count(b"\n")
    assert 2 <= count < 200
    with out.open("ab") as file:  # as if the kill had come in the middle of a line
        file.write(b'{"id": "d1')
    found = await annotate(dialogues(count + 3), ESC, out, model=RoleModel())
    assert out.read_bytes().startswith(kept)
    everything = read_annotated(out)
    assert found.found + found.made == count + 3
    assert {d.id for d in everything} >= {f"d{number}" for number in range(count + 3)}
    assert len({d.id for d in everything}) == len(everything)


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_one_error_and_it_goes_on(tmp_path: Path, role_model) -> None:
    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    await annotate(dialogues(4), ESC, whole, model=role_model, at_once=1)
    with (
        room_for(int(whole.stat().st_size * 0.6)),
        pytest.raises(DataError, match=r"out\.jsonl cannot be written .*; 2 of 4 dialogues are"),
    ):
        await annotate(dialogues(4), ESC, out, model=role_model, at_once=1)
    await annotate(dialogues(4), ESC, out, model=role_model, at_once=1)
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
async def test_a_device_without_room_is_one_error(role_model: RoleModel) -> None:
    with pytest.raises(DataError, match="No space left on device"):
        await annotate(dialogues(1), ESC, Path("/dev/full"), model=role_model)


async def test_a_file_of_other_dialogues_is_not_added_to(tmp_path: Path, role_model) -> None:
    out = tmp_path / "out.jsonl"
    await annotate(dialogues(2), ESC, out, model=role_model)
    before = out.read_bytes()
    with pytest.raises(DataError, match=r"line 1: the dialogue 'd.' has other utterances"):
        await annotate(dialogues(2, "My cat died"), ESC, out, model=role_model)
    with pytest.raises(DataError, match="not the task's"):
        await annotate(dialogues(2), load_task("persuasion"), out, model=role_model)
    assert out.read_bytes() == before


def relabelled(dialogue: Dialogue, strategy: str) -> Dialogue:
    said = [
        utterance.model_copy(update={"strategies": (strategy,)})
        if utterance.speaker == "system"
        else utterance
        for utterance in dialogue.utterances
    ]
    return dialogue.model_copy(update={"utterances": tuple(said)})


async def test_corrected_labels_reach_what_is_annotated_already(tmp_path: Path, role_model) -> None:
    out = tmp_path / "out.jsonl"
    wrong = [relabelled(dialogue, "Qestion") for dialogue in dialogues(3)]
    right = [relabelled(dialogue, "Question") for dialogue in dialogues(4)]
    await annotate(wrong, ESC, out, model=role_model)
    calls = len(role_model.calls)
    found = await annotate(right, ESC, out, model=role_model)
    assert (found.found, found.made, found.relabelled) == (3, 1, 3)
    assert len(role_model.calls) == calls * 4 // 3  # only for the fourth
    labels = {s for d in read_annotated(out) for u in d.utterances for s in u.strategies}
    assert labels == {"Question"}
    assert (await annotate(right, ESC, out, model=role_model)).relabelled == 0


async def test_nothing_is_added_to_annotations_of_others(tmp_path: Path, role_model) -> None:
    out = tmp_path / "out.jsonl"
    await annotate(dialogues(3), ESC, out, model=role_model)
    before = out.read_bytes()
    with pytest.raises(DataError, match=r"line \d: the dialogue 'd2' is not among those"):
        await annotate(dialogues(2), ESC, out, model=role_model)
    with pytest.raises(DataError, match="but these annotations are by 'offline, esc"):
        await annotate(dialogues(4), ESC, out)
    other = ESC.model_copy(update={"goal": "To be quick."})
    with pytest.raises(DataError, match=r"annotated by .*, but these annotations are by"):
        await annotate(dialogues(4), other, out, model=role_model)
    assert out.read_bytes() == before


async def test_the_estimate_counts_what_an_annotation_really_sends(tmp_path: Path) -> None:
    class Metered(RoleModel):
        lengths: list[int] = Field(default_factory=list)

        def _generate(self, messages: Any, *given: Any, **more: Any) -> Any:
            self.lengths.append(sum(len(message.text) for message in messages))
            return super()._generate(messages, *given, **more)

    model = Metered()
    await annotate(dialogues(10), ESC, tmp_path / "out.jsonl", model=model)
    estimate = estimate_annotation(dialogues(10), ESC)
    assert estimate.calls == len(model.calls) == 10 * 15
    # Its summaries are longer than this model's.
    assert sum(model.lengths) / 4 < estimate.tokens_in < 1.5 * sum(model.lengths) / 4
    assert estimate.tokens_out > 0
    assert estimate_annotation(dialogues(20), ESC).tokens_in == pytest.approx(
        2 * estimate.tokens_in, rel=0.05
    )


def test_a_dry_run_says_what_it_would_take(tmp_path: Path, monkeypatch, capsys) -> None:
    source, out = tmp_path / "own.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(d.model_dump_json() + "\n" for d in dialogues(3)), "utf-8")
    command = ["cooper", "annotate", "--data", str(source), "--output", str(out), "--dry-run"]
    monkeypatch.setattr(sys, "argv", [*command, "--model", "some-model"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    said = capsys.readouterr().out
    assert said.startswith("3 dialogues with 6 system turns are to be annotated: about 45 calls of")
    assert "tokens in" in said
    assert not out.exists()
    assert json.loads(source.read_text("utf-8").splitlines()[0])["id"] == "d0"
