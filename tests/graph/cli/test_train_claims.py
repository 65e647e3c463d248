"""`cooper train claims`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("peft")

from langgraph_cooper.nodes.finetuned.claims.model import read_claims_model
from tests.support.commands import Cooper

REPLIES = [("My sister did that, too.", "claims"), ("How are you?", "none"), ("Ah.", "borderline")]


def write(file: Path, replies: list[tuple[str, str]]) -> Path:
    lines = [
        {"source": source, "dialogue": f"talk {number}", "before": "I lost my job.",
         "said": said, "label": label}
        for number, (said, label) in enumerate(
            (f"{said} {'No. ' * again}", label) for again in range(4) for said, label in replies
        )
        for source in ("learnt", "held")
    ]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return file


def test_it_trains_chooses_the_threshold_and_writes(cooper: Cooper, tmp_path: Path) -> None:
    data, model = write(tmp_path / "claimed.jsonl", REPLIES), tmp_path / "model"
    options = ("--data", data, "--output", model, "--every", 1000, "--epochs", 1)
    done = cooper("train", "claims", "--held-out", "held", *options)
    assert done.code == 0, done.err
    assert "of 4 none" in done.out
    assert "4 of 4 claims" in done.out  # the threshold passes no more than three in a hundred over
    assert read_claims_model(model).form.least != 0


@pytest.mark.parametrize(
    ("replies", "told"),
    [
        (REPLIES[1:], "no claim is held out"),
        ([("How are you?", "perhaps")], "choose one of none, borderline, claims, not 'perhaps'"),
    ],
)
def test_what_nothing_can_be_chosen_on_is_refused(
    cooper: Cooper, tmp_path: Path, replies: list[tuple[str, str]], told: str
) -> None:
    data, model = write(tmp_path / "claimed.jsonl", replies), tmp_path / "model"
    options = ("--data", data, "--output", model, "--held-out", "held")
    cooper("train", "claims", *options).fails(told)
    assert not model.exists()
