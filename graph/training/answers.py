"""Trains the cross-encoder that weighs prepared answers, and its stacking with the regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from langgraph_cooper.graph.training.adapting import Batches, train_adapters
from langgraph_cooper.graph.training.graded import Graded
from langgraph_cooper.nodes.offline.answers import Answers
from langgraph_cooper.nodes.offline.cross_encoder import GRADES, CrossEncoderForm
from langgraph_cooper.nodes.offline.fitting import Stacking, log_odds
from langgraph_cooper.nodes.pairs.form import Floats, Pair
from langgraph_cooper.nodes.pairs.model import PairModel
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.training.adapters import add_adapters

FOLDS = 5
TOO_FEW = (
    f"the stacking cannot be learnt: hold out prepared answers in {FOLDS} conversations or more, "
    "accepted and other ones in most of them"
)
EPOCHS, RATE = 4.0, 6e-4


class _Example(NamedTuple):
    pair: Pair
    grade: int

    @property
    def length(self) -> int:
        return sum(map(len, self.pair))


class _Learner(nn.Module):
    """The model with its loss, as `Trainer` wants it."""

    def __init__(self, model: PairModel[CrossEncoderForm]) -> None:
        super().__init__()
        self.model = model

    def inputs(self, examples: Sequence[_Example]) -> dict[str, Tensor]:
        reached = [[example.grade > least for least in range(len(GRADES))] for example in examples]
        given = self.model.inputs([example.pair for example in examples])
        return {**given, "reached": torch.tensor(reached, dtype=torch.float32)}

    def forward(self, reached: Tensor, **given: Tensor) -> Any:
        odds = self.model(**given).float()
        return {"loss": functional.binary_cross_entropy_with_logits(odds, reached), "odds": odds}


def train_cross_encoder(
    graded: Sequence[Graded],
    run: Path,
    *,
    seed: int = 1,
    epochs: float = EPOCHS,
    rate: float = RATE,
) -> PairModel[CrossEncoderForm]:
    """Train a cross-encoder. The same call goes on where an earlier one was stopped.

    Args:
        graded: Replies to learn from.
        run: Folder of the unfinished run, saved every few minutes.
        seed: Of everything random.
        epochs: Passes over the replies.
        rate: Largest learning rate.

    Returns:
        The model with its adapters, not merged.
    """
    examples = [
        _Example(pair, int(grade))
        for each in graded
        for pair, grade in zip(each.pairs, each.grades, strict=True)
    ]
    torch.manual_seed(seed)
    tasks = tuple(sorted({load_task(each.task).name for each in graded}))
    model = PairModel(CrossEncoderForm(tasks=tasks), len(GRADES))
    add_adapters(model.encoder, model.form.adapters)
    learner = _Learner(model)
    batches = Batches(examples, lambda example: example.length, seed)
    train_adapters(learner, batches, learner.inputs, run, seed=seed, epochs=epochs, rate=rate)
    return model.eval()


def read_all(model: PairModel[CrossEncoderForm], graded: Sequence[Graded]) -> list[Floats]:
    """Return what a model says of each message's replies, [N, 2] log-odds."""
    with torch.inference_mode():
        return [model(**model.inputs(each.pairs)).float().numpy() for each in graded]


class Prepared(NamedTuple):
    """Prepared answers to messages that nothing was learnt from.

    Attributes:
        chances: [N] probabilities by the regression.
        read: [N, 2] log-odds by the cross-encoder.
        accepted: [N] whether readers accepted them.
        dialogues: [N] the number of each one's conversation.
    """

    chances: Floats
    read: Floats
    accepted: NDArray[np.bool_]
    dialogues: NDArray[np.int64]

    @property
    def features(self) -> Floats:
        """[N, 3] log-odds by both."""
        return np.column_stack([log_odds(self.chances), self.read])


def prepared_among(
    graded: Sequence[Graded], read: Sequence[Floats], answers: Mapping[str, Answers]
) -> Prepared:
    """Collect the prepared answers among graded replies.

    Args:
        graded: Messages with replies.
        read: What the cross-encoder says of each message's replies, [N, 2].
        answers: Task -> its prepared answers.

    Raises:
        DataError: There is none, or readers accepted all of them, or none.
    """
    numbers: dict[str, int] = {}
    rows: list[tuple[float, Floats, bool, int]] = []
    for each, odds in zip(graded, read, strict=True):
        number = numbers.setdefault(f"{each.source} {each.dialogue}", len(numbers))
        likely = {
            form: chance
            for answer, chance in answers[each.task].chances(each.said)
            for form in answer.say
        }
        for reply, grade, one in zip(each.replies, each.grades, odds, strict=True):
            if reply in likely:
                rows.append((likely[reply], one, grade != "0", number))
    if len({row[2] for row in rows}) < 2 or len({row[3] for row in rows}) < FOLDS:
        raise DataError(TOO_FEW)
    return Prepared(
        np.array([row[0] for row in rows], np.float32),
        np.stack([row[1] for row in rows]),
        np.array([row[2] for row in rows]),
        np.array([row[3] for row in rows]),
    )


def fit_stacking(given: Prepared) -> tuple[Stacking, dict[str, float]]:
    """Fit a logistic regression to both models' log-odds.

    Returns:
        It, and the area under the ROC curve of the regression, the cross-encoder, and both
        together in folds over conversations.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, cross_val_predict

    model, x, y = LogisticRegression(), given.features, given.accepted
    folds = GroupKFold(FOLDS)
    try:
        apart = cross_val_predict(
            model, x, y, groups=given.dialogues, cv=folds, method="decision_function"
        )
    except ValueError:  # all answers to learn from in a fold are accepted, or none
        raise DataError(TOO_FEW) from None
    model.fit(x, y)
    chance, acceptable, good = (float(weight) for weight in model.coef_[0])
    stacking = Stacking(
        bias=float(model.intercept_[0]), chance=chance, acceptable=acceptable, good=good
    )
    named = {"regression": x[:, 0], "cross-encoder": x[:, 1], "both": apart}
    return stacking, {name: float(roc_auc_score(y, odds)) for name, odds in named.items()}
