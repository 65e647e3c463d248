"""The effect of progression signals on a ranking: `python -m tests.benchmarks.signals --data FILE`.

Boosted trees order the candidates of each turn; on noisy turns they overfit less than models
trained by gradient descent here. They are fitted to three quarters of the conversations and
measured on the fourth, in four folds. All have the features that need no signals: the round, the
candidate's aspect, its cosines with the last three utterances, its product with the predicted one,
P(aspect | round, last three utterances), and how often its topic was the best in other
conversations. Each form of the signals is added to these by itself, and so are, as upper bounds,
features of the whole conversation.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue
from langgraph_cooper.ranker.data.reading import load_dialogues
from langgraph_cooper.ranker.evaluation.bootstrap import Bootstrap
from langgraph_cooper.ranker.evaluation.metrics import measure
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER
from langgraph_cooper.ranker.trained import computes_bfloat16
from langgraph_cooper.ranker.training.embedding_cache import caching_encoder
from tests.benchmarks.signal_forms import BOUNDS, FORMS, without_signals
from tests.benchmarks.study import FOLDS, Floats, Study, study

METRICS = ("hit@1", "hit@3", "precision@1", "ndcg@5")


def scored(it: Study, features: Floats, seeds: int) -> list[Floats]:
    """Score [n] the candidates of every turn by trees fitted to the other folds."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    scores = np.zeros(len(features))
    folds = it.fold[it.turn]
    for fold in range(FOLDS):
        own = folds == fold
        for seed in range(seeds):
            trees = HistGradientBoostingClassifier(
                max_iter=250,
                learning_rate=0.05,
                max_leaf_nodes=15,
                min_samples_leaf=min(100, max(5, len(features) // 200)),
                l2_regularization=5.0,
                max_features=0.5,
                early_stopping=False,
                random_state=seed,
            ).fit(features[~own], it.best[~own])
            scores[own] += trees.predict_proba(features[own])[:, 1] / seeds
    ends = np.cumsum(np.bincount(it.turn))
    return [np.asarray(part) for part in np.split(scores, ends[:-1])]


def compare(it: Study, seeds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Measure all forms, with difference and p value to the ranking without signals."""
    plain = without_signals(it)
    bootstrap = Bootstrap(it.groups)
    base = measure(it.examples.turns, scored(it, plain, seeds)).columns()
    report = {"none": {m: {"value": float(base[m].mean())} for m in METRICS}}
    each = {name: form(it) for name, form in {**FORMS, **BOUNDS}.items()}
    bounds = [name for name in BOUNDS if "labels" not in name]
    each["all forms of the signals"] = np.hstack([each[name] for name in FORMS])
    each["all of the whole conversation"] = np.hstack([each[name] for name in bounds])
    for name, features in each.items():
        both = np.hstack([plain, features])
        found = measure(it.examples.turns, scored(it, both, seeds)).columns()
        report[name] = {
            m: {
                "value": float(found[m].mean()),
                "difference": float((found[m] - base[m]).mean()),
                "p": bootstrap.p(found[m], base[m]),
            }
            for m in METRICS
        }
        show(name, report[name])
    return report


def show(name: str, figures: Mapping[str, Mapping[str, float]]) -> None:
    """Print one line."""
    cells = [
        f"{f['value']:.4f} ({f['difference']:+.4f}, p {f['p']:.3f})"
        if "p" in f
        else f"{f['value']:.4f}"
        for f in figures.values()
    ]
    print(f"{name:34}", *cells, sep="  ", flush=True)


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="annotated dialogues")
    parser.add_argument("--task", default="esc")
    parser.add_argument("--seed", type=int, default=0, help="of the target states")
    parser.add_argument("--seeds", type=int, default=2, help="number of fits averaged per score")
    parser.add_argument("--cache", type=Path, help="folder of computed embeddings")
    parser.add_argument("--json", type=Path, help="file to write")
    options = parser.parse_args()
    task = load_task(options.task)
    found = load_dialogues(options.data, task)
    dialogues = [d for d in found if isinstance(d, AnnotatedDialogue) and d.turns]
    if not dialogues:
        parser.error(f"{options.data} is not annotated: run cooper annotate first")
    encode, _ = caching_encoder(DEFAULT_ENCODER, options.cache, bfloat16=computes_bfloat16())
    it = study(dialogues, task, encode, options.seed)
    print(f"{len(it.examples)} turns of {len(dialogues)} dialogues; {', '.join(METRICS)}")
    forms = compare(it, options.seeds)
    show("none", forms["none"])
    if options.json:
        report = {"turns": len(it.examples), "machine": platform.machine(), "forms": forms}
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
