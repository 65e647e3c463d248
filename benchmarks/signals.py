"""What progression signals add to a ranking: `python -m benchmarks.signals --data FILE`.

Boosted trees, which overfit less on noisy turns than anything trained by gradient descent here,
order the candidates of each turn; they are fitted to three quarters of the conversations and
measured on the fourth, in turn, so that every annotated turn counts. All see what needs no
signals: the round, the candidate's aspect, its cosines with the last three utterances, its product
with the expected one, P(aspect | round, last three utterances), and how often its topic was the
best in other conversations. Each form of the signals is then added to that by itself.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from langgraph_cooper.prompts import load_task
from langgraph_cooper.prompts.task import TaskSpec
from langgraph_cooper.ranker.annotated import AnnotatedDialogue
from langgraph_cooper.ranker.config import DEFAULT_ENCODER
from langgraph_cooper.ranker.datasets import load_dialogues
from langgraph_cooper.ranker.encoder import load_encoder
from langgraph_cooper.ranker.examples import DiskCache, Examples, Memo, make_examples
from langgraph_cooper.ranker.expectation import RIDGE, Expectation, Expected
from langgraph_cooper.ranker.labels import Encode
from langgraph_cooper.ranker.metrics import Bootstrap, measure
from langgraph_cooper.ranker.model import load_transformer
from langgraph_cooper.ranker.packing import TurnTokenizer
from langgraph_cooper.ranker.progression import ProgressionModule
from langgraph_cooper.ranker.targets import find_targets
from langgraph_cooper.ranker.trained import computes_bfloat16

Floats = npt.NDArray[np.float64]

FOLDS = 4
ROUNDS = 15
METRICS = ("hit@1", "hit@3", "precision@1", "ndcg@5")
NEVER = 30


def _beside(*columns: npt.ArrayLike) -> Floats:
    """[N, x] of arrays [N] and [N, x_i]."""
    return np.column_stack([np.asarray(column, np.float64) for column in columns])


@dataclass(frozen=True)
class Study:
    """T turns with N candidates in all.

    Attributes:
        names: The aspects' names, in the task's order.
        examples: The turns.
        expected: What is expected of them by fits to other conversations.
        turn: [N], the turn of each candidate.
        aspect: [N].
        topic: [N, n_d] embeddings.
        best: [N] bool, the best-labelled of its turn.
        fold: [T], the quarter that each turn is measured in.
        targets: [T, n_T, n_d], the mixtures of target states that the states attend to.
        change: [T, n_T, n_d], the states less those of the turn before.
    """

    names: tuple[str, ...]
    examples: Examples
    expected: Expected
    turn: npt.NDArray[np.int64]
    aspect: npt.NDArray[np.int64]
    topic: Floats
    best: npt.NDArray[np.bool_]
    fold: npt.NDArray[np.int64]
    targets: Floats
    change: Floats

    @property
    def states(self) -> Floats:
        """[T, n_T, n_d]."""
        return self.examples.states.numpy().astype(np.float64)

    def own(self, values: Floats) -> Floats:
        """[N, x]: of `[T, n_T, x]` what belongs to a candidate's aspect; zeros if passive."""
        count = values.shape[1]
        mine = values[self.turn, np.minimum(self.aspect, count - 1)]
        return np.where(self.aspect[:, None] < count, mine, 0.0)

    def cosines(self, vectors: Floats) -> Floats:
        """[N, n_T + 1]: of each candidate with `[T, n_T, n_d]`, and with its own aspect's."""
        norms = np.maximum(np.linalg.norm(vectors, axis=2, keepdims=True), 1e-9)
        unit = vectors / norms
        every = np.einsum("nd,nad->na", self.topic, unit[self.turn])
        return _beside(every, np.einsum("nd,nd->n", self.topic, self.own(unit)))


def study(
    dialogues: Sequence[AnnotatedDialogue], task: TaskSpec, encode: Encode, seed: int
) -> Study:
    """Labels, embeds and fits what all rankings see."""
    tokenizer = TurnTokenizer(
        load_transformer(DEFAULT_ENCODER).tokenizer, history_tokens=8, topic_tokens=4
    )
    examples = make_examples(dialogues, task, encode, tokenizer)
    groups = np.array([turn.dialogue for turn in examples.turns])
    expectation = Expectation(len(task.aspects), ROUNDS, examples.texts.shape[1])
    expected = examples.expecting_apart(expectation).expected
    assert expected is not None
    mixtures = []
    for index, name in enumerate(task.aspect_names):
        finals = [dialogue.final_states.get(name, "") for dialogue in dialogues]
        if sum(map(bool, finals)) < 40:  # a file without the agents' last states
            finals = [turn.turn.states.get(name, "") for turn in examples.turns]
        found = find_targets(name, finals, encode, seed=seed)
        module = ProgressionModule(torch.from_numpy(found.centroids), found.texts)
        with torch.no_grad():
            mixtures.append(module(examples.states[:, index]).signal[:, 0].numpy())
    states = examples.states.numpy().astype(np.float64)
    follows = np.r_[False, groups[1:] == groups[:-1]]
    before = np.where(follows[:, None, None], np.roll(states, 1, axis=0), 0.0)
    return Study(
        names=task.aspect_names,
        examples=examples,
        expected=expected,
        turn=np.repeat(np.arange(len(examples)), [len(row) for row in examples.topics]),
        aspect=np.concatenate(examples.aspects),
        topic=examples.texts[np.concatenate(examples.topics)].numpy().astype(np.float64),
        best=np.concatenate([turn.labels == len(turn.labels) for turn in examples.turns]),
        fold=np.unique(groups, return_inverse=True)[1] % FOLDS,
        targets=np.stack(mixtures, axis=1).astype(np.float64),
        change=states - before,
    )


def without_signals(it: Study) -> Floats:
    """[N, x]: what every ranking sees."""
    recent = it.examples.texts[it.examples.recent].numpy()[it.turn]  # [N, 3, n_d]
    due = it.expected.aspects.numpy()[it.turn]  # [N, n_T + 1]
    said = it.expected.utterance.numpy()[it.turn]
    return _beside(
        it.examples.rounds.numpy()[it.turn],
        it.aspect,
        np.einsum("nd,nxd->nx", it.topic, recent),
        np.einsum("nd,nd->n", it.topic, said),
        due[np.arange(len(due)), it.aspect],
        due,
        _popularity(it),
    )


def _popularity(it: Study) -> Floats:
    """[N]: how often each candidate's topic was the best of those in other quarters."""
    topics = np.concatenate(it.examples.topics)
    folds = it.fold[it.turn]
    seen, best = (Counter[tuple[int, int]]() for _ in range(2))
    for topic, fold, won in zip(topics.tolist(), folds.tolist(), it.best.tolist(), strict=True):
        for other in range(FOLDS):
            if other != fold:
                seen[topic, other] += 1
                best[topic, other] += won
    keys = list(zip(topics.tolist(), folds.tolist(), strict=True))
    return np.array([(best[key] + 1) / (seen[key] + 13) for key in keys])


def _closeness(it: Study) -> Floats:
    """How near each state is to what it attends to, and whether there is one."""
    norms = np.linalg.norm(it.states, axis=2)
    length = np.maximum(np.linalg.norm(it.targets, axis=2), 1e-9)
    near = np.einsum("tad,tad->ta", it.states, it.targets) / length
    both = np.stack([near, norms > 0], axis=2)
    return _beside(both.reshape(len(both), -1)[it.turn], it.own(both))


def _length(it: Study) -> Floats:
    states = [turn.turn.states for turn in it.examples.turns]
    words = [[len(row.get(name, "").split()) for name in it.names] for row in states]
    counts = np.array(words, np.float64)[:, :, None]
    return _beside(counts[it.turn, :, 0], it.own(counts))


def _foretold(it: Study) -> Floats:
    """The product with an expected utterance that was fitted to the states too."""
    from sklearn.linear_model import Ridge

    recent = it.examples.texts[it.examples.recent].flatten(1).numpy()
    rounds = np.eye(ROUNDS)[np.minimum(it.examples.rounds.numpy(), ROUNDS) - 1]
    given = _beside(rounds, recent, it.states.reshape(len(recent), -1))
    replies = it.examples.texts[it.examples.replies].numpy()
    said = np.zeros_like(replies)
    for fold in range(FOLDS):
        own = it.fold == fold
        said[own] = Ridge(alpha=RIDGE).fit(given[~own], replies[~own]).predict(given[own])
    return _beside(np.einsum("nd,nd->n", it.topic, said[it.turn]))


def _done(it: Study) -> Floats:
    """How often, and how long ago, each aspect was promoted: as a person labelled it."""
    promoted = it.examples.promoted.numpy()
    groups = np.array([turn.dialogue for turn in it.examples.turns])
    counts, since = np.zeros_like(promoted), np.full_like(promoted, NEVER)
    for row in range(1, len(promoted)):
        if groups[row] == groups[row - 1]:
            last = promoted[row - 1] > 0
            counts[row] = counts[row - 1] + last
            since[row] = np.where(last, 1, np.minimum(since[row - 1] + 1, NEVER))
    both = np.stack([counts, since], axis=2).astype(np.float64)
    return _beside(both.reshape(len(both), -1)[it.turn], it.own(both))


FORMS: Mapping[str, Callable[[Study], Floats]] = {
    "s: the states": lambda it: it.cosines(it.states),
    "v: the targets": lambda it: it.cosines(it.targets),
    "[v; s], the paper's p": lambda it: _beside(it.cosines(it.states), it.cosines(it.targets)),
    "v - s: what is missing": lambda it: it.cosines(it.targets - it.states),
    "closeness to the target": _closeness,
    "change since the last turn": lambda it: it.cosines(it.change),
    "length of the states": _length,
    "next utterance from the states": _foretold,
    "aspects promoted so far (labels)": _done,
}


def scored(it: Study, features: Floats, seeds: int) -> list[Floats]:
    """Scores [n] of every turn by trees that were fitted to the other quarters."""
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
    """Figures of all forms, with their difference to the ranking without signals and its p."""
    plain = without_signals(it)
    bootstrap = Bootstrap(np.array([turn.dialogue for turn in it.examples.turns]))
    base = measure(it.examples.turns, scored(it, plain, seeds)).columns()
    report = {"none": {m: {"value": float(base[m].mean())} for m in METRICS}}
    forms = dict(FORMS) | {"all of these": lambda it: _beside(*(f(it) for f in FORMS.values()))}
    for name, form in forms.items():
        found = measure(it.examples.turns, scored(it, _beside(plain, form(it)), seeds)).columns()
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
    """One line."""
    cells = [
        f"{f['value']:.4f} ({f['difference']:+.4f}, p {f['p']:.3f})"
        if "p" in f
        else f"{f['value']:.4f}"
        for f in figures.values()
    ]
    print(f"{name:34}", *cells, sep="  ", flush=True)


def main() -> None:
    """Runs the comparison and prints it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="annotated dialogues")
    parser.add_argument("--task", default="esc")
    parser.add_argument("--seed", type=int, default=0, help="of the target states")
    parser.add_argument("--seeds", type=int, default=2, help="fits that each score is the mean of")
    parser.add_argument("--cache", type=Path, help="folder in which embeddings are kept")
    parser.add_argument("--json", type=Path, help="file to write")
    options = parser.parse_args()
    task = load_task(options.task)
    found = load_dialogues(options.data, task)
    dialogues = [d for d in found if isinstance(d, AnnotatedDialogue) and d.turns]
    if not dialogues:
        parser.error(f"{options.data} is not annotated: run cooper annotate first")
    half = computes_bfloat16()
    encoder = load_encoder(DEFAULT_ENCODER, bfloat16=half)
    encode: Encode = encoder.encode
    if options.cache:
        identity = f"{DEFAULT_ENCODER} {encoder.sha256}{' bfloat16' if half else ''}"
        encode = DiskCache(encode, options.cache, identity)
    it = study(dialogues, task, Memo(encode), options.seed)
    print(f"{len(it.examples)} turns of {len(dialogues)} dialogues; {', '.join(METRICS)}")
    forms = compare(it, options.seeds)
    show("none", forms["none"])
    if options.json:
        report = {"turns": len(it.examples), "machine": platform.machine(), "forms": forms}
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
