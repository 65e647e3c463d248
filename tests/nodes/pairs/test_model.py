"""A model that reads pairs reads each by itself, both ends of a long text, and no damaged files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("peft")

from langgraph_cooper.graph.training.adapting import write_pair_model
from langgraph_cooper.nodes.pairs.form import Pair, PairForm
from langgraph_cooper.nodes.pairs.model import (
    PairError,
    PairModel,
    PairReader,
    Wanted,
    read_form,
    read_pair_reader,
)
from langgraph_cooper.ranker.training.adapters import add_adapters
from tests.support.damage import DAMAGES, damage

WANTED = Wanted("tells cats from dogs", "cooper train pets")
PAIR = Pair("My dog is ill.", "What does the vet say?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two outputs whose head alone is random."""
    model = PairModel(PairForm(), 2)
    add_adapters(model.encoder, model.form.adapters)
    folder = tmp_path_factory.mktemp("model")
    write_pair_model(model, folder)
    return folder


def read(folder: Path) -> PairReader[PairForm]:
    return read_pair_reader(folder, read_form(folder, PairForm, WANTED), 2, WANTED)


def test_what_is_read_beside_a_pair_changes_nothing(folder: Path) -> None:
    reader = read(folder)
    (alone,) = reader.read([PAIR])
    among = reader.read([Pair("no", "a"), PAIR, Pair("So " * 200, "And then? " * 40)])
    assert among[1] == pytest.approx(alone, abs=0.05)
    assert reader.read([]).shape == (0, 2)


def test_of_a_long_text_the_beginning_and_the_end_are_read() -> None:
    short = PairModel(PairForm(first_tokens=8), 2)
    one, other, third = (
        short.inputs([Pair(f"a b {middle} u v w x y {end}", "c")])["input_ids"].tolist()
        for middle, end in (("c " * 500, "z"), ("d " * 900, "z"), ("d " * 900, "q"))
    )
    assert one == other != third
    typed = short.inputs([Pair("[SEP]", "c")])["input_ids"][0].tolist()
    assert typed.count(short.tokenizer.sep_token_id) == 2


@pytest.mark.parametrize("how", [*DAMAGES, "rank", "outputs"])
def test_a_damaged_model_is_named(folder: Path, tmp_path: Path, how: str) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    outputs = 3 if how == "outputs" else 2
    if how == "rank":
        config = tmp_path / "config.json"
        fields = json.loads(config.read_text(encoding="utf-8"))
        fields["adapters"]["rank"] = 3
        config.write_text(json.dumps(fields), encoding="utf-8")
    elif how in DAMAGES:
        damage(tmp_path, how)
    with pytest.raises(PairError, match=r"tells cats from dogs .*train pets"):
        read_pair_reader(tmp_path, read_form(tmp_path, PairForm, WANTED), outputs, WANTED)
