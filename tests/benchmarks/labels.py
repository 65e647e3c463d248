"""Labelling in batches against one text per call: `python -m tests.benchmarks.labels --data FILE`.

Both ways label the same turns in one process, with the same encoder and without a cache, and must
come to the same labels. The slow way encodes every candidate in a call of its own, and the real
utterance again for each of them, as the paper's released code does.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from langgraph_cooper.prompts import TaskSpec, load_task
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue
from langgraph_cooper.ranker.data.labels import Encode, label_turns, rank_labels
from langgraph_cooper.ranker.data.reading import load_dialogues
from langgraph_cooper.ranker.model.encoder import SentenceEncoder

Found = TypeVar("Found")


def label_one_by_one(
    dialogues: Sequence[AnnotatedDialogue], task: TaskSpec, encode: Encode
) -> Iterator[tuple[list[int], list[float]]]:
    """Yield labels and similarities [n] of each turn, as the paper's released code makes them.

    Every call encodes one text, and the real utterance is encoded again for every candidate.
    """
    for dialogue in dialogues:
        for turn in dialogue.turns:
            said = dialogue.utterances[turn.index]
            promoted = task.promoted_by(said.strategies)
            if not promoted or not turn.candidates:
                continue
            pairs = [(encode([c.topic])[0], encode([said.text])[0]) for c in turn.candidates]
            similarity = np.array([float(topic @ real) for topic, real in pairs], np.float32)
            hits = np.array([candidate.aspect in promoted for candidate in turn.candidates])
            yield rank_labels(hits, similarity).tolist(), similarity.tolist()


def first_turns(dialogues: Sequence[AnnotatedDialogue], count: int) -> list[AnnotatedDialogue]:
    """The dialogues' first `count` annotated turns."""
    kept = []
    for dialogue in dialogues:
        turns = dialogue.turns[:count]
        count -= len(turns)
        kept.append(dialogue.model_copy(update={"turns": turns}))
        if not count:
            break
    return kept


def timed(work: Callable[[], Found]) -> tuple[Found, float, float]:
    """Return the result of the work, its seconds, and the processor's seconds."""
    began, spent = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - began, time.process_time() - spent


def compare(dialogues: Sequence[AnnotatedDialogue], task_name: str) -> dict[str, Any]:
    """Label the same turns both ways.

    Raises:
        AssertionError: The labels differ.
    """
    task = load_task(task_name)
    encoder = SentenceEncoder(cache_size=0)
    encoder.encode(["The first call sets up more than the others."])
    batched, seconds, processor = timed(lambda: label_turns(dialogues, task, encoder.encode).turns)
    singly, slow_seconds, slow_processor = timed(
        lambda: list(label_one_by_one(dialogues, task, encoder.encode))
    )
    assert len(batched) == len(singly) > 0
    for turn, (labels, _) in zip(batched, singly, strict=True):
        assert turn.labels.tolist() == labels, (turn, labels)
    return {
        "turns": len(batched),
        "candidates": sum(len(turn.labels) for turn in batched),
        "batched_s": seconds,
        "one_by_one_s": slow_seconds,
        "ratio": slow_seconds / seconds,
        "batched_cpu_s": processor,
        "one_by_one_cpu_s": slow_processor,
        "cpu_ratio": slow_processor / processor,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
    }


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="annotated dialogues")
    parser.add_argument("--task", default="esc")
    parser.add_argument("--turns", type=int, default=200, help="how many turns are labelled")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    dialogues = load_dialogues(options.data, load_task(options.task))
    annotated = [d for d in dialogues if isinstance(d, AnnotatedDialogue)]
    if not annotated:
        parser.error(f"{options.data} is not annotated: run cooper annotate first")
    found = compare(first_turns(annotated, options.turns), options.task)
    if options.json:
        print(json.dumps(found))
        return
    print(f"{found['turns']} turns, {found['candidates']} candidates, {found['machine']}")
    print(f"in batches, each distinct text once: {found['batched_s']:.2f} s")
    print(f"one text per call:                   {found['one_by_one_s']:.2f} s, the same labels")
    print(f"ratio: {found['ratio']:.1f} (of processor time: {found['cpu_ratio']:.1f})")


if __name__ == "__main__":
    main()
