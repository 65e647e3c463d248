"""Forms of the progression signals, as features of candidates beside what needs no signals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from langgraph_cooper.ranker.data.dialogue import RECENT
from langgraph_cooper.ranker.model.next_utterance import RIDGE
from tests.benchmarks.study import FOLDS, ROUNDS, Conversation, Floats, Study

NEVER = 30
DECAY = 0.8  # weight of an utterance, as a share of the weight of the next one


def _beside(*columns: npt.ArrayLike) -> Floats:
    """Stack arrays [N] and [N, x_i] into [N, x]."""
    return np.column_stack([np.asarray(column, np.float64) for column in columns])


def without_signals(it: Study) -> Floats:
    """Return the features of every ranking, [N, x]."""
    recent = it.examples.texts[it.examples.recent].numpy()[it.turn]  # [N, 3, n_d]
    due = it.predicted.aspects.numpy()[it.turn]  # [N, n_T + 1]
    said = it.predicted.utterance.numpy()[it.turn]
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
    """Return how often each candidate's topic was the best in other folds, [N]."""
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
    """Return each state's cosine with its attended target, and whether there is a state."""
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


def _predicted(it: Study, known: Floats) -> Floats:
    """Return the product with a next utterance predicted from `known` [T, x] as well."""
    from sklearn.linear_model import Ridge

    recent = it.examples.texts[it.examples.recent].flatten(1).numpy()
    rounds = np.eye(ROUNDS)[np.minimum(it.examples.rounds.numpy(), ROUNDS) - 1]
    given = _beside(rounds, recent, known)
    said = np.zeros_like(it.replies)
    for fold in range(FOLDS):
        own = it.fold == fold
        said[own] = Ridge(alpha=RIDGE).fit(given[~own], it.replies[~own]).predict(given[own])
    return _beside(np.einsum("nd,nd->n", it.topic, said[it.turn]))


def _predicted_by_states(it: Study) -> Floats:
    return _predicted(it, it.states.reshape(len(it.states), -1))


def _predicted_by_all(it: Study) -> Floats:
    """Predict from each side's mean embedding, and from a mean with more weight on the end."""
    return _predicted(it, np.stack([_gist(told) for told in it.conversations]))


def _gist(told: Conversation) -> Floats:
    weights = DECAY ** np.arange(len(told.utterances))[::-1]
    shares = [told.system, ~told.system, weights]
    means = [w @ told.utterances / max(float(np.sum(w)), 1e-9) for w in shares]
    return np.concatenate(means)


def _covered(it: Study) -> Floats:
    """Return largest and mean cosine with each side's utterances before the last ones."""
    rows = []
    for told, topics in zip(it.conversations, _topics_by_turn(it), strict=True):
        early = np.arange(len(told.system)) < len(told.system) - RECENT
        for side in (told.system & early, ~told.system & early, told.system):
            said = told.utterances[side]
            near = topics @ said.T if len(said) else np.zeros((len(topics), 1))
            rows.append(np.column_stack([near.max(axis=1), near.mean(axis=1)]))
    turns = [np.hstack(rows[i : i + 3]) for i in range(0, len(rows), 3)]
    return np.concatenate(turns)


def _topics_by_turn(it: Study) -> list[Floats]:
    ends = np.cumsum(np.bincount(it.turn))
    return [np.asarray(part) for part in np.split(it.topic, ends[:-1])]


def _done_by_labels(it: Study) -> Floats:
    return _done(it, it.examples.promoted.numpy().astype(np.float64))


def _done_by_guess(it: Study) -> Floats:
    """As an agent could estimate it: from the embeddings of the utterances."""
    from sklearn.linear_model import LogisticRegression

    promoted = it.examples.promoted.numpy() > 0
    guessed = np.zeros(promoted.shape)
    for fold in range(FOLDS):
        own = it.fold == fold
        for aspect in range(len(it.names)):
            fitted = LogisticRegression(max_iter=300).fit(it.replies[~own], promoted[~own, aspect])
            guessed[own, aspect] = fitted.predict_proba(it.replies[own])[:, 1]
    return _done(it, guessed)


def _done(it: Study, promoted: Floats) -> Floats:
    """Return how often, and how long ago, each aspect was promoted, of [T, n_T + 1] by turn."""
    counts, since = np.zeros_like(promoted), np.full_like(promoted, NEVER)
    for row in range(1, len(promoted)):
        if it.groups[row] == it.groups[row - 1]:
            counts[row] = counts[row - 1] + promoted[row - 1]
            again = np.minimum(since[row - 1] + 1, NEVER)
            since[row] = np.where(promoted[row - 1] > 0.5, 1, again)
    both = np.stack([counts, since], axis=2)
    return _beside(both.reshape(len(both), -1)[it.turn], it.own(both))


FORMS: Mapping[str, Callable[[Study], Floats]] = {
    "s: the states": lambda it: it.cosines(it.states),
    "v: the targets": lambda it: it.cosines(it.targets),
    "[v; s], the paper's p": lambda it: _beside(it.cosines(it.states), it.cosines(it.targets)),
    "v - s: what is missing": lambda it: it.cosines(it.targets - it.states),
    "closeness to the target": _closeness,
    "change since the last turn": lambda it: it.cosines(it.change),
    "length of the states": _length,
    "next utterance from the states": _predicted_by_states,
}
"""Forms of the states that the agents wrote, and of their targets."""

BOUNDS: Mapping[str, Callable[[Study], Floats]] = {
    "whole conversation: topics covered": _covered,
    "... next utterance from it": _predicted_by_all,
    "... aspects promoted so far": _done_by_guess,
    "aspects promoted so far (labels)": _done_by_labels,
}
"""Upper bounds for states: from the whole conversation, and from human labels."""
