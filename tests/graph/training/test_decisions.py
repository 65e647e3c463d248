"""The decision model learns to hear what a "no" answers; malformed labels are named."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("peft")

from langgraph_cooper.graph.training.adapting import write_pair_model
from langgraph_cooper.graph.training.decisions import likeliest, train_decider
from langgraph_cooper.graph.training.labelled import Labelled, read_labelled
from langgraph_cooper.nodes.subjects.decider import LABELS, read_decider
from langgraph_cooper.ranker.data.dialogue import DataError

ASKED = ["Would you donate?", "Will you give a dollar?", "Can we count on you?", "Any gift helps."]
CHATTED = ["Do you have children?", "Have you heard of us?", "Are you busy?", "Is it raining?"]


def decided(before: str, said: str, decision: str) -> Labelled:
    return Labelled(source="writer", dialogue=before, before=before, said=said, label=decision)


LEARNT = [
    *(decided(before, "No.", "refuses") for before in ASKED),
    *(decided(before, "No.", "none") for before in CHATTED),
    *(decided(before, "Sure, two dollars.", "agrees") for before in ASKED),
]


def test_it_learns_what_a_no_answers_and_is_read_again(tmp_path: Path) -> None:
    model = train_decider(LEARNT, tmp_path / "run", epochs=25)
    form = write_pair_model(model, tmp_path)
    reader = read_decider(tmp_path)
    assert reader.form == form
    assert likeliest(reader, LEARNT) == [each.label for each in LEARNT]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"source": "a"}', "dialogue"),
        ('{"source": "a", "dialogue": "b", "before": "c", "said": "d", "label": "perhaps"}',
         "choose one of none, agrees, doubts, refuses, enough, not 'perhaps'"),
        ('{"source": "a", "dialogue": "b", "before": "c", "said": "", "label": "none"}', "said"),
        ("", "holds nothing labelled"),
    ],
)  # fmt: skip
def test_a_malformed_line_is_named(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "decided.jsonl"
    file.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=told) as caught:
        read_labelled(file, LABELS)
    assert str(file) in str(caught.value)
