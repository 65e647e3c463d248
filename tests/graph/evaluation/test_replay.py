"""`cooper replay`: recorded conversations run again to the same states."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from langgraph_cooper.graph.evaluation.interactive.replay import spec_of
from langgraph_cooper.graph.evaluation.interactive.rows import Conversation
from langgraph_cooper.nodes.finetuned import choice, engine, generator
from langgraph_cooper.nodes.finetuned.choice import Choice
from langgraph_cooper.nodes.finetuned.errors import VoiceMissing
from langgraph_cooper.nodes.finetuned.format import Given
from tests.support.commands import Cooper, Done
from tests.support.conversations import (
    conversation,
    talking,
    write_roles,
)
from tests.support.openai_server import OpenAIServer, Reply, Request, obey
from tests.support.rating import answered, pairs_in, ratings_in


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "talks.jsonl"


def held(cooper: Cooper, file: Path, *options: str, code: int = 0) -> Done:
    command = ["evaluate", "interactive", "--roles", write_roles(file.parent), "--user", "u"]
    command += ["--rounds", "2", "--manners", "reserved", "--limit", "1", "--output", file]
    done = cooper(*command, *options)
    assert done.code == code, done.err
    return done


def test_models_answers_are_replayed_with_their_faults(
    cooper: Cooper, endpoint: OpenAIServer, file: Path
) -> None:
    asked: list[str] = []

    def system(request: Request) -> Reply:
        asked.append(request.system)
        if len(asked) == 2:
            return Reply(status=503)  # a passing fault, after which the client asks again
        if len(asked) == 4:
            return Reply("cut off here", cut=True)
        return obey(request)

    endpoint.reply = talking(system=system)
    held(cooper, file, "--systems", "prompted,bank", "--model", "m")
    known = len(endpoint.requests)
    done = cooper("replay", file)
    assert done.code == 0, done.out
    assert done.out.count("2 turns, all with the same states") == 2
    assert len(endpoint.requests) == known  # nobody was asked
    statuses = [each.get("status") for row in rows(file) for each in recorded(row)]
    assert 503 in statuses


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()][1:]


def recorded(row: dict[str, Any]) -> list[dict[str, Any]]:
    return list(row.get("record", {}).get("exchanges", []))


def test_what_differs_first_is_named(cooper: Cooper, endpoint: OpenAIServer, file: Path) -> None:
    endpoint.reply = talking()
    held(cooper, file, "--systems", "prompted,plain", "--model", "m")
    text = file.read_text("utf-8")
    edited = [json.loads(line) for line in text.splitlines()]
    edited[1]["said"][1]["why"]["states"]["comforting"] = "Nothing is known."
    file.write_text("".join(json.dumps(each) + "\n" for each in edited), "utf-8")
    done = cooper("replay", file, "--json")
    first, second = map(json.loads, done.out.splitlines())
    assert done.code == 1
    assert (first["differs"], second["differs"]) == (True, False)
    assert first["missing"] == 0
    assert first["first"]["part"] == "states"
    assert first["first"]["was"]["comforting"] == "Nothing is known."
    lacking = [json.loads(line) for line in text.splitlines()]
    del lacking[2]["record"]["exchanges"][0]
    file.write_text("".join(json.dumps(each) + "\n" for each in lacking), "utf-8")
    told = json.loads(cooper("replay", file, "--key", second["key"][:8], "--json").out)
    assert told["missing"] == 1
    cooper("replay", file, "--key", "zzz").fails("no conversation whose key begins with 'zzz'")


def test_a_report_without_words(
    cooper: Cooper, endpoint: OpenAIServer, file: Path, tmp_path: Path
) -> None:
    endpoint.reply = talking()
    held(cooper, file, "--systems", "prompted", "--model", "m")
    bug, plain = tmp_path / "bug.jsonl", tmp_path / "plain.jsonl"
    assert cooper("replay", file, "--extract", bug, "--redact").code == 0
    assert cooper("replay", file, "--extract", plain).code == 0
    assert cooper("replay", plain).code == 0
    text = bug.read_text("utf-8")
    for word in ("I lost my job", "I feel awful", "I hear you", "127.0.0.1", "anna", "Topic 1"):
        assert word not in text, word
    (before,), (after,) = rows(file), rows(bug)
    assert [len(said["text"]) for said in after["said"]] == [
        len(said["text"]) for said in before["said"]
    ]
    assert after["said"][1]["why"]["progress"] == before["said"][1]["why"]["progress"]
    cooper("replay", bug).fails("redacted")
    assert cooper("replay", file, "--redact").code == 2


def test_a_report_tells_roles_and_systems_apart_without_their_names(
    cooper: Cooper, endpoint: OpenAIServer, file: Path, tmp_path: Path
) -> None:
    endpoint.reply = talking(system=lambda _: Reply("That sounds hard."))
    roles = write_roles(
        tmp_path, *({"id": f"valid-{number}", "problem": "job crisis"} for number in (1, 2))
    )
    program = tmp_path / "bot.py"
    program.write_text("for _ in range(9): print('Hm', flush=True)\n", "utf-8")
    systems = [f"command:{sys.executable} {program} --key SECRET{key}" for key in (1, 2)]
    systems += [f"endpoint:{endpoint.url}#m{number}" for number in (1, 2)]
    systems += ["bank?goal=Make anna calm&k=1", "mine=bank"]
    command = ["evaluate", "interactive", "--roles", roles, "--manners", "reserved"]
    command += ["--rounds", "1", "--output", file, "--user", f"endpoint:{endpoint.url}#u"]
    assert cooper(*command, *(word for each in systems for word in ("--systems", each))).code == 0
    bug = tmp_path / "bug.jsonl"
    assert cooper("replay", file, "--extract", bug, "--redact").code == 0
    text = bug.read_text("utf-8")
    for word in ("SECRET", "127.0.0.1", "anna", "valid", str(tmp_path), "bot.py", "calm"):
        assert word not in text, word
    before, after = rows(file), rows(bug)
    for name in (lambda row: row["role"]["id"], lambda row: row["system"]):
        renamed = {(name(was), name(now)) for was, now in zip(before, after, strict=True)}
        whole = {name(row) for row in before}
        assert len(renamed) == len({now for _, now in renamed}) == len(whole) > 1
    assert len({row["identity"] for row in after}) == len(systems)
    assert {"mine"} == {row["system"] for row in after} & {"mine", *systems}
    told = cooper("evaluate", "conversations", bug, "--json").json()
    assert told["systems"]["mine"]["words"] > 0
    assert told["systems"]["mine"]["repeated"] is None  # no words, no repetition
    assert told["users"] == {}
    cooper("evaluate", "judge", bug, "--model", "m").fails("is redacted")


def test_an_output_is_never_the_input(cooper: Cooper, tmp_path: Path) -> None:
    pairs = pairs_in(tmp_path)
    answered(ratings_in(tmp_path, pairs), "Anna", {})
    rated, talks = tmp_path / "rated.jsonl", pairs.file
    link = tmp_path / "link.jsonl"
    link.symlink_to(rated)
    before = [each.read_bytes() for each in (rated, talks)]
    ratings = ["evaluate", "ratings", rated, "--conversations", talks, "--output"]
    for done in (
        cooper("replay", talks, "--extract", tmp_path / "." / talks.name, "--redact"),
        *(cooper(*ratings, output) for output in (rated, link, talks)),
    ):
        assert done.code == 2
        assert "another file" in " ".join(done.err.replace("│", " ").split())
    assert [each.read_bytes() for each in (rated, talks)] == before


class _First:
    """Chooses the first sample."""

    def choose(self, _: object, samples: Sequence[str], __: str) -> Choice:
        return Choice(samples[0], 0, 0.0, ())


def test_the_fine_tuned_generators_samples_are_replayed(
    cooper: Cooper, endpoint: OpenAIServer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ctranslate2")
    endpoint.reply = talking()
    draws: list[int] = []

    class Chance:
        def sample(self, given: Sequence[Given], *_: object, **__: object) -> list[list[str]]:
            draws.append(len(draws))
            return [[f"I hear that this is number {len(draws)} of your worries."]]

    def choose(_h: object, samples: Sequence[str], *_: object) -> str:
        return samples[0]

    monkeypatch.setattr(engine, "load_engine", lambda *_, **__: Chance())
    monkeypatch.setattr(generator, "chooser", lambda *_: choose)
    monkeypatch.setattr(choice, "load_chooser", lambda *_, **__: _First())
    held(cooper, file, "--systems", "finetuned,finetuned-alone")
    assert {row["system"] for row in rows(file)} == {"finetuned", "finetuned-alone"}
    for row in rows(file):
        assert row["record"]["samples"][0] == [row["said"][1]["text"]]
        assert ("states" in row["said"][1].get("why", {})) == (row["system"] == "finetuned")

    def missing(*_: object, **__: object) -> Any:
        raise VoiceMissing("a replay has what was drawn")

    monkeypatch.setattr(engine, "load_engine", missing)
    assert cooper("replay", file).code == 0
    assert len(draws) == 4


def test_a_programs_answers_cannot_be_made_again(
    cooper: Cooper, endpoint: OpenAIServer, file: Path
) -> None:
    endpoint.reply = talking()
    held(cooper, file, "--systems", "command:cat")
    cooper("replay", file).fails("is a program")
    held(cooper, file, "--systems", "bank")
    done = cooper("replay", file)  # what can be run again is
    assert (done.code, done.out.count("all with the same states")) == (0, 1)
    assert "cannot be made again: 1" in done.err
    file.unlink()
    cooper("replay", file).fails("no such file")
    file.write_text("")
    cooper("replay", file).fails("holds no conversations")


@pytest.mark.parametrize(
    ("spec", "model"),
    [
        ("bank?goal=Make them calm&m=1", ""),
        ("prompted?goal=Make them calm&k=1", "my model"),
        ("plain", "my model"),
        ("endpoint", "my model"),
    ],
)
def test_what_has_spaces_is_replayed(
    cooper: Cooper, endpoint: OpenAIServer, file: Path, spec: str, model: str
) -> None:
    endpoint.reply = talking()
    options = ["--model", model] if model else []
    spec = f"endpoint:{endpoint.url}#{model}" if spec == "endpoint" else spec
    held(cooper, file, "--systems", spec, *options)
    done = cooper("replay", file)
    assert "2 turns, all with the same states" in done.out, done
    assert done.code == 0


@pytest.mark.parametrize("made_of", ["", "0123456789abcdef" * 4])
def test_the_goal_of_the_fine_tuned_generator_is_known_from_every_versions_identity(
    made_of: str,
) -> None:
    spec = "finetuned?goal=Make them calm"
    row = conversation(spec, "anna", "Hm.", identity=f"{spec} {made_of}")
    assert spec_of(Conversation.model_validate(row)) == spec


def test_a_conversation_that_no_model_took_part_in(
    cooper: Cooper, endpoint: OpenAIServer, file: Path
) -> None:
    endpoint.reply = talking(["Goodbye."])
    held(cooper, file, "--systems", "prompted,bank", "--model", "my model")
    assert {row["ended"]["how"] for row in rows(file)} == {"at once"}
    done = cooper("replay", file)
    assert (done.code, done.out.count("0 turns, all with the same states")) == (0, 2)


@pytest.mark.parametrize("last", ["Maybe.", "Goodbye."])
def test_a_silence_is_run_again(
    cooper: Cooper, endpoint: OpenAIServer, file: Path, last: str
) -> None:
    count = itertools.count()

    def system(_: Request) -> Reply:
        return Reply("<think>Hm.</think>" if next(count) else "Tell me more.")

    endpoint.reply = talking(["I feel awful.", last], system)
    held(cooper, file, "--systems", f"endpoint:{endpoint.url}#m")
    (row,) = rows(file)
    assert [said["speaker"] for said in row["said"]] == ["user", "system", "user"]
    done = cooper("replay", file)
    assert (done.code, done.out.count("2 turns, all with the same states")) == (0, 1)
    header = file.read_text("utf-8").splitlines()[0]
    exchange = row["record"]["exchanges"][1]
    exchange["body"] = exchange["body"].replace("</think>", "</think> Oh.")
    file.write_text(f"{header}\n{json.dumps(row)}\n", "utf-8")
    told = json.loads(cooper("replay", file, "--json").out)
    assert told["first"] == {"turn": 2, "part": "text", "was": "", "now": "Oh."}


def test_what_the_record_lacks_is_told_also_without_a_difference(
    cooper: Cooper, endpoint: OpenAIServer, file: Path
) -> None:
    """A fault whose answers are gone is a fault again, and nothing was compared."""

    def system(_: Request) -> Reply:
        return Reply(status=500)

    endpoint.reply = talking(system=system)
    held(cooper, file, "--systems", "plain", "--model", "m", "--max-calls", "1", code=1)
    done = cooper("replay", file)
    assert "all with the same states; answers that the record lacks: 0" in done.out
    header, line = file.read_text("utf-8").splitlines()
    row = json.loads(line)
    assert row["ended"]["by"] == "fault"
    del row["record"]["exchanges"][0]
    file.write_text(f"{header}\n{json.dumps(row)}\n", "utf-8")
    done = cooper("replay", file)
    assert "1 turns, all with the same states; answers that the record lacks: 1" in done.out
