"""Metrics of generated replies against real ones (paper, Table 1), and their paired bootstrap.

Both sides are lower-cased and split by the Treebank tokeniser; an empty reply counts as `&`. Every
reply has one reference. BLEU is sacrebleu's without smoothing, over the corpus. ROUGE-L is the mean
F of the longest common subsequence with beta 1.2, as in the COCO caption evaluation. All figures
are percentages, as in the paper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from langgraph_cooper.graph.evaluation.meteor import Meteor
from langgraph_cooper.prompts.extras import install
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.evaluation.bootstrap import DRAWN_AT_ONCE, Resamples

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = npt.NDArray[np.float64]

BLEU_ORDERS = {"BL-1": 1, "BL-2": 2, "BL-4": 4}
ROUGE, METEOR = "RG-L", "MET"
DISTINCT_ORDERS = {"Dist-1": 1, "Dist-2": 2, "Dist-3": 3}
MOST = 4  # the longest n-grams of BLEU
BETA = 1.2  # of ROUGE-L
EMPTY = "&"
CELLS = 2**22  # n-grams times resamples that are counted at once


@cache
def _tokenizer() -> Any:
    try:
        from nltk.tokenize import NLTKWordTokenizer
    except ImportError:
        raise DataError(f"scoring texts needs nltk and sacrebleu: {install('train')}") from None
    return NLTKWordTokenizer()


def tokenized(text: str) -> str:
    """Return a text as it is scored: lower case, tokens between single spaces, `&` if empty."""
    return " ".join(_tokenizer().tokenize(text.lower())) or EMPTY


@dataclass(frozen=True)
class ScoredTexts:
    """Replies with what each contributes to the metrics.

    Attributes:
        replies: [T] tokenised replies.
        bleu: [T, 2 + 2 * 4] length of the reply and of its reference, matching n-grams and all
            n-grams of n = 1..4.
        rouge: [T] ROUGE-L, in [0, 1].
        meteor: METEOR's statistics; None where it cannot be computed.
    """

    replies: Sequence[str]
    bleu: Floats
    rouge: Floats
    meteor: Meteor | None

    def scores(self, rows: npt.NDArray[np.bool_] | None = None) -> dict[str, float]:
        """Compute the metrics of all replies, or of some.

        Args:
            rows: [T] the replies to measure; None: all.

        Returns:
            Metric -> percentage; no METEOR where it cannot be computed.
        """
        chosen = np.flatnonzero(np.ones(len(self.replies), bool) if rows is None else rows)
        if not len(chosen):
            return {}
        sums = self.bleu[chosen].sum(axis=0)[None]
        found = {name: float(bleu(sums, n)[0]) for name, n in BLEU_ORDERS.items()}
        found[ROUGE] = float(self.rouge[chosen].mean() * 100)
        if self.meteor:
            found[METEOR] = self.meteor.score(chosen.tolist())
        replies = [self.replies[row] for row in chosen.tolist()]
        return found | {name: distinct(replies, n) for name, n in DISTINCT_ORDERS.items()}

    def shape(self) -> dict[str, float]:
        """Return the mean length in tokens, and the percentage of replies that are repeats.

        A reply is a repeat if an earlier turn has the same one.
        """
        repeated = 1 - len(set(self.replies)) / len(self.replies)
        return {"length": float(self.bleu[:, 0].mean()), "repeated": 100 * repeated}


def score_texts(
    replies: Sequence[str], references: Sequence[str], *, meteor: bool = True
) -> ScoredTexts:
    """Score replies against the real ones.

    Args:
        replies: [T] texts.
        references: [T] texts.
        meteor: Compute METEOR where Java and the jar are installed.

    Raises:
        DataError: There are none, the numbers differ, or METEOR's program failed.
    """
    if not replies or len(replies) != len(references):
        raise DataError(
            f"there are {len(replies):,} replies and {len(references):,} references: bring one "
            "reference for each reply, and at least one"
        )
    said, real = [tokenized(text) for text in replies], [tokenized(text) for text in references]
    pairs = list(zip(said, real, strict=True))
    return ScoredTexts(
        said,
        np.array(list(_bleu_counts(pairs)), np.float64),
        np.array([rouge_l(one, other) for one, other in pairs]),
        Meteor.of(said, real) if meteor else None,
    )


def _bleu_counts(pairs: Sequence[tuple[str, str]]) -> Iterator[list[float]]:
    from sacrebleu.metrics.bleu import BLEU

    # Only the counts are taken: the effective order, without which sacrebleu warns about single
    # sentences, does not change them.
    scorer = BLEU(tokenize="none", max_ngram_order=MOST, effective_order=True)
    for reply, reference in pairs:
        found = scorer.sentence_score(reply, [reference])
        yield [found.sys_len, found.ref_len, *found.counts, *found.totals]


def bleu(sums: Floats, order: int) -> Floats:
    """BLEU of corpora from their sums.

    Args:
        sums: [S, 2 + 2 * 4] sums of `ScoredTexts.bleu`.
        order: The longest n-grams.

    Returns:
        [S] percentages; 0 where no n-gram of some length matches.
    """
    length, reference = sums[:, 0], sums[:, 1]
    matches, totals = sums[:, 2 : 2 + order], sums[:, 2 + MOST : 2 + MOST + order]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(matches / totals).mean(axis=1)  # [S]
        penalty = np.minimum(0.0, 1.0 - reference / length)
    scores: Floats = np.nan_to_num(100 * np.exp(logs + penalty), nan=0.0)
    return scores


def rouge_l(reply: str, reference: str) -> float:
    """ROUGE-L of one tokenised reply, in [0, 1]: F with beta 1.2."""
    said, real = reply.split(), reference.split()
    common = _longest_common(said, real)
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(real)
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for one in first:
        diagonal = 0
        for place, other in enumerate(second, start=1):
            above = row[place]
            row[place] = diagonal + 1 if one == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]


def n_grams(text: str, n: int) -> list[tuple[str, ...]]:
    """The n-grams of a tokenised text, in order."""
    words = text.split()
    return list(zip(*(words[start:] for start in range(n)), strict=False))


def distinct(texts: Sequence[str], n: int) -> float:
    """Distinct-n: unique n-grams as a percentage of all n-grams of the corpus."""
    grams = [gram for text in texts for gram in n_grams(text, n)]
    return 100 * len(set(grams)) / len(grams) if grams else 0.0


class PairedBootstrap:
    """Paired bootstrap test of the differences between two systems' corpora, two-sided.

    Whole dialogues are resampled with replacement, the same for both systems. p is the share of
    resampled differences, centred on their mean, at least as far from zero as the observed one
    (Koehn 2004, as in sacrebleu). METEOR is compared by the means of the replies' own scores.

    Args:
        groups: [T] the dialogue of each turn.
        samples: Number of resamples.
        seed: Seed of the resampling.
    """

    def __init__(self, groups: Sequence[int], *, samples: int = 10_000, seed: int = 0) -> None:
        _, self._group = np.unique(np.asarray(groups), return_inverse=True)  # [T]
        self._sizes = np.bincount(self._group).astype(np.float64)  # [G]
        self._resamples = Resamples(len(self._sizes), samples, seed)
        self.samples, self.seed = samples, seed

    def p_values(self, first: ScoredTexts, second: ScoredTexts) -> dict[str, float]:
        """Return metric -> p in (0, 1]; 1.0 for a single dialogue."""
        ours, theirs = self._resampled(first), self._resampled(second)
        shared = [name for name in ours if name in theirs]
        if len(self._sizes) < 2:
            return dict.fromkeys(shared, 1.0)
        seen = _compared(first), _compared(second)
        found = {}
        for name in shared:
            differences = ours[name] - theirs[name]  # [S]
            observed = abs(seen[0][name] - seen[1][name])
            extreme = np.abs(differences - differences.mean()) >= observed - 1e-9
            found[name] = float((extreme.sum() + 1) / (self.samples + 1))
        return found

    def _resampled(self, texts: ScoredTexts) -> dict[str, Floats]:
        """Metric -> [S] its value in each resample."""
        found: dict[str, Floats] = {}
        sums = self._resamples.sums(self._by_dialogue(texts.bleu))  # [S, 10]
        for name, order in BLEU_ORDERS.items():
            found[name] = bleu(sums, order)
        turns = self._resamples.sums(self._sizes)  # [S]
        found[ROUGE] = 100 * self._sums(texts.rouge) / turns
        if texts.meteor:
            found[METEOR] = 100 * self._sums(np.array(texts.meteor.each)) / turns
        for name, n in DISTINCT_ORDERS.items():
            found[name] = self._distinct(texts, n)
        return found

    def _sums(self, each: Floats) -> Floats:
        """[S] sums of [T] in each resample."""
        return self._resamples.sums(self._by_dialogue(each[:, None]))[:, 0]

    def _by_dialogue(self, each: Floats) -> Floats:
        """[G, C] sums of [T, C] over the turns of each dialogue."""
        sums = np.zeros((len(self._sizes), each.shape[1]))
        np.add.at(sums, self._group, each)
        return sums

    def _distinct(self, texts: ScoredTexts, n: int) -> Floats:
        """[S] Distinct-n of each resample."""
        present, totals = self._presence(texts, n)
        found = []
        size = min(DRAWN_AT_ONCE, max(1, CELLS // present.shape[0]))
        for drawn in self._resamples.chunks(size):
            unique = ((present @ (drawn.T > 0).astype(np.float32)) > 0).sum(axis=0)
            found.append(unique / np.maximum(drawn @ totals, 1))
        return 100 * np.concatenate(found)

    def _presence(self, texts: ScoredTexts, n: int) -> tuple[csr_matrix, Floats]:
        """[U, G] which n-gram is in which dialogue, and [G] each dialogue's number of n-grams."""
        from scipy.sparse import csr_matrix

        known: dict[tuple[str, ...], int] = {}
        cells: set[tuple[int, int]] = set()
        totals: Counter[int] = Counter()
        for reply, group in zip(texts.replies, self._group.tolist(), strict=True):
            grams = n_grams(reply, n)
            totals[group] += len(grams)
            cells.update((known.setdefault(gram, len(known)), group) for gram in grams)
        rows, columns = zip(*cells, strict=True) if cells else ((), ())
        shape = (max(len(known), 1), len(self._sizes))
        matrix = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
        return matrix, np.array([totals[group] for group in range(shape[1])], np.float64)


def _compared(texts: ScoredTexts) -> dict[str, float]:
    """The metrics as the resamples have them: METEOR is the mean of the replies' own scores."""
    found = texts.scores()
    return found | {METEOR: 100 * float(np.mean(texts.meteor.each))} if texts.meteor else found


def rounded(scores: Mapping[str, float], digits: int = 4) -> dict[str, float]:
    """Return the figures with so many digits after the point."""
    return {name: round(value, digits) for name, value in scores.items()}
