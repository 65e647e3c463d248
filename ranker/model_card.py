"""The model card in a checkpoint's folder: what it was trained on, how, and what it reached."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from langgraph_cooper.ranker.config import RankerConfig

PATHS = ("train", "valid", "output", "evidence_from")


def write_model_card(
    file: Path,
    *,
    ranker: RankerConfig,
    config: Mapping[str, Any],
    sizes: Mapping[str, tuple[int, int, int]],
    log: Sequence[Mapping[str, Any]],
    clusters: Mapping[str, tuple[int, float]],
) -> None:
    """Writes the card.

    Args:
        file: Where to.
        ranker: The ranker's configuration.
        config: The training run's, as JSON values; of paths only the names are shown.
        sizes: Split -> (dialogues, turns trained or measured on, annotated turns left out).
        log: The run's log.
        clusters: Aspect -> (number of target states, their silhouette).
    """
    lines = [
        f"# COOPER ranker for the task `{ranker.task}`",
        "",
        "Ranks topic candidates of specialised agents (COOPER, AAAI 2024) within the package "
        "`langgraph-cooper`. It is a research artefact: no advice of a professional stands behind "
        "what it prefers.",
        "",
        *_section("Licence", [_licence(config)]),
        *_section("Data", _data(config, sizes)),
        *_section("Figures on valid, by epoch", _figures(log)),
        *_section("Target states", _targets(clusters)),
        *_section("How it was trained", _training(config, log)),
    ]
    file.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""]


def _licence(config: Mapping[str, Any]) -> str:
    return str(config["licence"]) or (
        "The terms of the training data apply; for ESConv these are CC BY-NC 4.0, which allows no "
        "commercial use."
    )


def _data(config: Mapping[str, Any], sizes: Mapping[str, tuple[int, int, int]]) -> list[str]:
    rows = [
        f"| {split} | {Path(str(config[split])).name} | {dialogues:,} | {turns:,} | {left:,} |"
        for split, (dialogues, turns, left) in sizes.items()
    ]
    note = [str(config["data_note"]), ""] if config["data_note"] else []
    head = ["| split | file | dialogues | turns used | turns without a known strategy |"]
    return [*note, *head, "| --- | --- | --- | --- | --- |", *rows]


def _figures(log: Sequence[Mapping[str, Any]]) -> list[str]:
    names = ("hit@1", "hit@3", "precision@1", "precision@3", "ndcg@5")
    valid = [record for record in log if record["kind"] == "valid"]
    best = max((r["epoch"] for r in valid if r["best"]), default=-1)
    rows = [
        f"| {_epoch(r['epoch'], best)} | " + " | ".join(f"{r[name]:.3f}" for name in names) + " |"
        for r in valid
    ]
    return ["| epoch | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|", *rows]


def _epoch(epoch: int, best: int) -> str:
    if epoch < 0:
        return "before the first: evidence alone"
    return f"{epoch + 1}{' (this one)' if epoch == best else ''}"


def _targets(clusters: Mapping[str, tuple[int, float]]) -> list[str]:
    return [
        f"- {aspect}: {count} (silhouette {silhouette:.3f})"
        for aspect, (count, silhouette) in clusters.items()
    ]


def _training(config: Mapping[str, Any], log: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = {k: v for k, v in config.items() if k not in {"data_note", "licence", "cache"}}
    shown |= {name: Path(str(config[name])).name for name in PATHS if config[name] is not None}
    speeds = sorted(r["turns_per_second"] for r in log if r["kind"] == "step")
    middle = speeds[len(speeds) // 2] if speeds else 0.0
    command = (
        f"cooper train --task {shown['task']} --data {shown['train']} --valid {shown['valid']} "
        f"--output {shown['output']} --seed {shown['seed']} --epochs {shown['epochs']} "
        f"--form {shown['form']} --fusion {shown['fusion']}"
        + ("" if shown["progression"] else " --no-progression")
        + (f" --evidence-from {shown['evidence_from']}" if shown["evidence_from"] else "")
        + (f" --max-turns {shown['max_turns']}" if shown["max_turns"] else "")
    )
    return [
        f"Machine: {_machine()}; {middle:.1f} turns a second. Seed {config['seed']}.",
        "",
        "```sh",
        command,
        "```",
        "",
        "All settings (`langgraph_cooper.ranker.train_config.TrainConfig`):",
        "",
        "```json",
        json.dumps(shown, indent=2),
        "```",
    ]


def _machine() -> str:
    """Processor or accelerator and torch's version, without any host's name."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    name = torch.cpu.get_capabilities().get("cpu_name") or platform.machine()
    return f"{torch.get_num_threads()} cores of {name}, torch {torch.__version__}"
