"""What the scorer of replies is worth: `python -m tests.benchmarks.choosing --data ANNOTATED`.

Candidates of a turn are the reply that followed and seven others that people wrote: three of other
turns of the conversation, three of other conversations, and a generic one. Each part of the score
and each rule is left out in turn. `--data` is the output of `cooper annotate`, of conversations
that the model of relevance did not learn from; topics are the ranker's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from langgraph_cooper.graph.training.relevance import PoolMaker
from langgraph_cooper.nodes.crisis.phrases import unsayable
from langgraph_cooper.nodes.finetuned.choice import FALLBACK, HONESTY, Chooser, Weights
from langgraph_cooper.nodes.finetuned.relevance import SHIPPED, read_relevance
from langgraph_cooper.nodes.finetuned.rules import RULES
from langgraph_cooper.prompts import TaskSpec, load_task
from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, Utterance
from langgraph_cooper.ranker.data.reading import load_dialogues
from langgraph_cooper.ranker.load import ranker_loader
from langgraph_cooper.ranker.model.encoder import load_encoder
from tests.benchmarks.claims import claim

PARTS = ("relevance", "topics", "length", "answers", "novelty", "agreement")


class Turn(NamedTuple):
    """A turn with its candidates, the true reply among them at `true`."""

    said: list[Utterance]
    replies: list[str]
    topics: list[str]
    true: int


def turns(task: TaskSpec, file: Path, most: int, seed: int) -> Iterator[Turn]:
    """Yield the turns of annotated conversations, the candidates in random order."""
    dialogues = [d for d in load_dialogues(file, task) if isinstance(d, AnnotatedDialogue)]
    maker = PoolMaker(dialogues, load_encoder().encode, seed)
    ranker = ranker_loader(task)()
    rng = np.random.default_rng(seed)
    for _, dialogue, turn in zip(
        range(most),
        *zip(*((d, t) for d in dialogues for t in d.turns if t.index), strict=True),
        strict=False,
    ):
        said = dialogue.history(turn.index)
        signals = {name: ranker.progression(name, s).signal for name, s in turn.states.items()}
        candidates = [c for c in turn.candidates if c.aspect in task.aspect_names]
        scores = ranker.score(said, [ScoredTopic(c.aspect, c.topic) for c in candidates], signals)
        best = [candidates[i].topic for i in np.argsort(scores)[::-1][: task.k]]
        drawn = maker.draw(dialogue, turn.index, others=3, own=3, generic=1)
        order = [int(i) for i in rng.permutation(len(drawn))]
        yield Turn(said, [drawn[i] for i in order], best, order.index(0))


def measured(chooser: Chooser, cases: Sequence[Turn], fallback: str) -> dict[str, float]:
    """Return what a chooser chooses, as shares of the turns."""
    chosen, seconds = [], []
    for case in cases:
        start = time.perf_counter()
        chosen.append(chooser.choose(case.said, case.replies, fallback, case.topics))
        seconds.append(time.perf_counter() - start)
    own = [choice for choice in chosen if choice.index >= 0]
    before = [{said.text for said in case.said if said.speaker == "system"} for case in cases]
    return {
        "true": float(np.mean([c.index == t.true for c, t in zip(chosen, cases, strict=True)])),
        "fallback": float(np.mean([choice.index == FALLBACK for choice in chosen])),
        "honest": float(np.mean([choice.index == HONESTY for choice in chosen])),
        "claims": sum(claim(choice.text) is not None for choice in own),
        "unsayable": sum(unsayable(choice.text) for choice in own),
        "said before": sum(c.text in b for c, b in zip(chosen, before, strict=True)),
        "ms": 1000 * statistics.median(seconds),
    }


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", default="esc")
    parser.add_argument("--most", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="rows, such as 'all' or 'without any rule'")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    task = load_task(options.task)
    cases = list(turns(task, options.data, options.most, options.seed))
    embed = load_encoder().encode
    model = read_relevance(SHIPPED / options.task, embed)
    # A prepared sentence that is never better: it is said only if all others are out.
    full = Chooser(task, embed, model, weights=Weights(bank=-100.0))
    fallback = "Please go on, I'm following you."
    measured(full, cases, fallback)  # fills the encoder's cache
    choosers = {
        "all": full,
        "cosine for the model": Chooser(task, embed, weights=Weights(bank=-100.0)),
    }
    choosers |= {f"without {name}": full.without(name) for name in PARTS}
    choosers |= {f"without the rule {name}": full.without(name) for name in RULES}
    choosers["without any rule"] = full.without(*RULES)
    found = {}
    for name, chooser in choosers.items():
        if not options.only or name in options.only:
            row = found[name] = measured(chooser, cases, fallback)
            shown = "  ".join(f"{key} {value:.3g}" for key, value in row.items())
            print(f"{name:28} {shown}", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"turns": len(cases), "choosers": found}, indent=1))


if __name__ == "__main__":
    main()
