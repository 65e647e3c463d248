"""The model card in a checkpoint's folder: data, training and figures."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from langgraph_cooper.ranker.model.config import RankerConfig
from langgraph_cooper.ranker.training.config import TrainConfig
from langgraph_cooper.ranker.training.losses import Objective

PATHS = {"train": "data", "valid": "valid", "output": "output"}
"""Settings that are paths, shown by name only -> their options."""

OPTIONS = (
    *("seed", "epochs", "patience", "max_turns", "turns_per_batch", "fusion", "form", "clusters"),
    *("encoder", "adapter_rank", "freeze_layers", "precision", "device"),
)
"""Settings with an option of the same name."""

SHOWN = ("hit@1", "hit@3", "precision@1", "precision@3", "ndcg@5")
"""Figures on valid in the log and the card."""

NOT_SHOWN = {"data_note", "licence", "cache"}


def write_model_card(
    file: Path,
    *,
    ranker: RankerConfig,
    config: TrainConfig,
    sizes: Mapping[str, tuple[int, int, int]],
    log: Sequence[Mapping[str, Any]],
    clusters: Mapping[str, tuple[int, float]],
) -> None:
    """Write the card.

    Args:
        file: The card.
        ranker: Configuration of the ranker.
        config: Configuration of the run.
        sizes: Split -> (dialogues, turns used, annotated turns left out).
        log: The run's log.
        clusters: Aspect -> (number of target states, their silhouette).
    """
    lines = [
        f"# COOPER ranker for the task `{ranker.task}`",
        "",
        "Ranks topic candidates of specialised agents (COOPER, AAAI 2024) within the package "
        "`langgraph-cooper`. It is a research artefact: no professional has reviewed its "
        "preferences.",
        "",
        *_section("Licence", [_licence(config)]),
        *_section("Data", _data(config, sizes)),
        *_section("Figures on valid, by epoch", _figures(log)),
        *_section("Target states", _targets(clusters)),
        *_section("How it was trained", _training(ranker, config, log)),
    ]
    file.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""]


def _licence(config: TrainConfig) -> str:
    return config.licence or (
        "The terms of the training data apply; for ESConv these are CC BY-NC 4.0, which allows no "
        "commercial use."
    )


def _data(config: TrainConfig, sizes: Mapping[str, tuple[int, int, int]]) -> list[str]:
    rows = [
        f"| {split} | {getattr(config, split).name} | {dialogues:,} | {turns:,} | {left:,} |"
        for split, (dialogues, turns, left) in sizes.items()
    ]
    note = [config.data_note, ""] if config.data_note else []
    head = ["| split | file | dialogues | turns used | turns without a known strategy |"]
    return [*note, *head, "| --- | --- | --- | --- | --- |", *rows]


def _figures(log: Sequence[Mapping[str, Any]]) -> list[str]:
    valid = [record for record in log if record["kind"] == "valid"]
    best = max((r["epoch"] for r in valid if r["best"]), default=None)
    rows = [
        f"| {_epoch(r['epoch'], best)} | " + " | ".join(f"{r[name]:.3f}" for name in SHOWN) + " |"
        for r in valid
    ]
    return ["| epoch | " + " | ".join(SHOWN) + " |", "| --- " * (len(SHOWN) + 1) + "|", *rows]


def _epoch(epoch: int, best: int | None) -> str:
    name = str(epoch + 1) if epoch >= 0 else "before the first: evidence alone"
    return f"{name}{' (this one)' if epoch == best else ''}"


def _targets(clusters: Mapping[str, tuple[int, float]]) -> list[str]:
    return [
        f"- {aspect}: {count} (silhouette {silhouette:.3f})"
        for aspect, (count, silhouette) in clusters.items()
    ]


def _training(
    ranker: RankerConfig, config: TrainConfig, log: Sequence[Mapping[str, Any]]
) -> list[str]:
    shown = config.model_dump(mode="json", exclude=NOT_SHOWN)
    shown |= {name: getattr(config, name).name for name in PATHS}
    # The paper's fusion ignores these settings of the run.
    shown |= {"evidence": ranker.evidence, "decision": ranker.decision}
    speeds = sorted(r["turns_per_second"] for r in log if r["kind"] == "step")
    middle = speeds[len(speeds) // 2] if speeds else 0.0
    return [
        f"Machine: {_machine()}; {middle:.1f} turns a second. Seed {config.seed}.",
        "",
        "```sh",
        _command(config),
        "```",
        "",
        "All settings (`langgraph_cooper.ranker.training.config.TrainConfig`):",
        "",
        "```json",
        json.dumps(shown, indent=2),
        "```",
    ]


def _command(config: TrainConfig) -> str:
    """Return the command, with every option that differs from its default."""
    words = ["cooper", "train", "--task", Path(config.task).name]
    for name, option in PATHS.items():
        words += [f"--{option}", getattr(config, name).name]
    for name in OPTIONS:
        value = getattr(config, name)
        if value != TrainConfig.model_fields[name].default:
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
    if config.objective == Objective.paper():
        words += ["--objective", "paper"]
    if not config.progression:
        words.append("--no-progression")
    return shlex.join(words)


def _machine() -> str:
    """Name processor or accelerator and torch's version, but no host."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    name = torch.cpu.get_capabilities().get("cpu_name") or platform.machine()
    return f"{torch.get_num_threads()} threads on {name}, torch {torch.__version__}"
