"""`cooper evaluate calibration` makes a calibration anew, whatever the old one is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from langgraph_cooper.graph.cli.app import app
from langgraph_cooper.ranker.load import SHIPPED, load_ranker
from langgraph_cooper.ranker.model.calibration import FILE
from langgraph_cooper.ranker.model.checkpoint import CheckpointError
from tests.graph.cli.test_train_generator import dialogues


def test_a_damaged_calibration_is_made_again_by_the_command_that_its_error_names(
    tmp_path: Path,
) -> None:
    ranker = tmp_path / "ranker"
    shutil.copytree(SHIPPED / "esc", ranker)
    (ranker / FILE).write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match="make it again with 'cooper evaluate calibration'"):
        load_ranker(ranker)
    train = dialogues(tmp_path, "train", 4)
    command = ["evaluate", "calibration", "--train", str(train), "--ranker", str(ranker)]
    result = CliRunner().invoke(app, [*command, "--strength", "0.5"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    made = load_ranker(ranker).calibration
    assert made is not None
    assert made.strength == 0.5
