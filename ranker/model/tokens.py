"""Building the Transformer's input from texts, in the packed and in the pairwise form.

*Pairwise* is the paper's form: `[CLS] history [SEP] candidate [SEP]`, one row per candidate, each
with its own copy of the history. *Packed* reads the history once per turn, in one row

    [CLS] history [SEP] | [CLS] c1 [SEP] | [CLS] c2 [SEP] | ...

The history attends to itself, a candidate to the history and itself, and each candidate's positions
continue the history's. As in the pairwise form, a candidate's vector depends neither on the other
candidates nor on their order; it takes about a fifth of the arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from langgraph_cooper.ranker.data.dialogue import Utterance, encodable, marked
from langgraph_cooper.ranker.model.config import Form

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MAX_CHARACTERS_PER_TOKEN = 64
"""Upper bound on the characters that are tokenised per token kept. Tokens average five characters;
tokenising 100 kB to keep 32 tokens would cost more than the ranking."""


class Specials(NamedTuple):
    """Ids of the tokens that frame the texts."""

    cls: int
    sep: int
    pad: int


class TurnTokens(NamedTuple):
    """Token ids of a turn's texts, without special tokens."""

    history: list[int]
    candidates: list[list[int]]


class TokenBatch(NamedTuple):
    """The Transformer's input for B turns of at most C candidates: R rows of L tokens."""

    input_ids: Tensor
    """`[R, L]` int64."""
    position_ids: Tensor
    """`[R, L]` int64."""
    token_type_ids: Tensor
    """`[R, L]` int64: 0 in the history, 1 in a candidate."""
    attention_mask: Tensor
    """`[R, 1, L, L]` (packed) or `[R, 1, 1, L]` (pairwise) bool: True where a token is seen."""
    cls_rows: Tensor
    """`[B, C]` int64: the row of each candidate's [CLS]; any row where a turn has fewer than C."""
    cls_columns: Tensor
    """`[B, C]` int64: its place in that row."""
    mask: Tensor
    """`[B, C]` bool: False where a turn has fewer than C candidates."""


class TurnTokenizer:
    """Cuts and tokenises a turn's texts; safe to use from several threads.

    Args:
        tokenizer: Tokeniser of the Transformer.
        history_tokens: Number of the history's last tokens to keep.
        topic_tokens: Number of a candidate's first tokens to keep.

    Raises:
        ValueError: The tokeniser lacks a special token.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, history_tokens: int, topic_tokens: int
    ) -> None:
        self.tokenizer = tokenizer
        self.history_tokens = history_tokens
        self.topic_tokens = topic_tokens
        ids = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
        if not all(isinstance(token, int) for token in ids):
            raise ValueError("the Transformer's tokeniser needs [CLS], [SEP] and [PAD] tokens")
        self.specials = Specials(*ids)
        self._lock = Lock()

    def turn(self, history: Sequence[Utterance], candidates: Sequence[str]) -> TurnTokens:
        """Tokenise a turn: cut the history on the left, each candidate on the right."""
        limit = self.topic_tokens * MAX_CHARACTERS_PER_TOKEN
        topics = self._ids([topic[:limit] for topic in candidates])
        cut = [ids[: self.topic_tokens] for ids in topics]
        return TurnTokens(self.history(history), cut)

    def history(self, history: Sequence[Utterance]) -> list[int]:
        """Return the last tokens of a dialogue, each utterance under its role mark."""
        limit = self.history_tokens * MAX_CHARACTERS_PER_TOKEN
        texts: list[str] = []
        characters = 0
        for utterance in reversed(history):  # stop after the last tokens that are kept
            if characters > limit:
                break
            texts.append(marked(utterance)[-limit:])
            characters += len(texts[-1])
        tokens = [token for ids in self._ids(texts[::-1]) for token in ids]
        return tokens[-self.history_tokens :]

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        safe = [encodable(text) for text in texts]
        with self._lock:
            # split_special_tokens: a typed "[SEP]" is five characters, no special token.
            ids = self.tokenizer(safe, add_special_tokens=False, split_special_tokens=True)
        return [list(tokens) for tokens in ids["input_ids"]]


def build(turns: Sequence[TurnTokens], specials: Specials, form: Form) -> TokenBatch:
    """Build the input of B turns in the given form."""
    return pack(turns, specials) if form == "packed" else pair(turns, specials)


def pack(turns: Sequence[TurnTokens], specials: Specials) -> TokenBatch:
    """Pack B turns into B rows."""
    ids: list[list[int]] = []
    positions: list[list[int]] = []
    segments: list[list[int]] = []  # 0 in the history, n in the n-th candidate
    columns: list[list[int]] = []
    for turn in turns:
        row = [specials.cls, *turn.history, specials.sep]
        place = list(range(len(row)))
        segment = [0] * len(row)
        starts = []
        history_length = len(row)
        for number, candidate in enumerate(turn.candidates, start=1):
            starts.append(len(row))
            framed = [specials.cls, *candidate, specials.sep]
            row += framed
            place += range(history_length, history_length + len(framed))
            segment += [number] * len(framed)
        ids.append(row)
        positions.append(place)
        segments.append(segment)
        columns.append(starts)
    segment_ids = _padded(segments, -1)  # [B, L]
    # A token attends to its own segment and the history. Padding attends to the history, so that
    # no row of the softmax is empty; nothing attends to padding.
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    seen = (same | (segment_ids == 0)[:, None, :]) & (segment_ids >= 0)[:, None, :]
    cls_columns = _padded(columns, -1)
    rows = torch.arange(len(turns))[:, None].expand_as(cls_columns)
    return TokenBatch(
        input_ids=_padded(ids, specials.pad),
        position_ids=_padded(positions, 0),
        token_type_ids=(segment_ids > 0).long(),
        attention_mask=seen[:, None],
        cls_rows=rows,
        cls_columns=cls_columns.clamp(min=0),
        mask=cls_columns >= 0,
    )


def pair(turns: Sequence[TurnTokens], specials: Specials) -> TokenBatch:
    """Build one row per candidate of B turns, padded on the right."""
    ids: list[list[int]] = []
    types: list[list[int]] = []
    rows: list[list[int]] = []
    for turn in turns:
        left = [specials.cls, *turn.history, specials.sep]
        rows.append(list(range(len(ids), len(ids) + len(turn.candidates))))
        for candidate in turn.candidates:
            right = [*candidate, specials.sep]
            ids.append(left + right)
            types.append([0] * len(left) + [1] * len(right))
    token_type_ids = _padded(types, -1)  # [R, L]
    real = token_type_ids >= 0
    cls_rows = _padded(rows, -1)
    return TokenBatch(
        input_ids=_padded(ids, specials.pad),
        position_ids=torch.arange(token_type_ids.shape[1]).expand_as(token_type_ids) * real,
        token_type_ids=token_type_ids.clamp(min=0),
        attention_mask=real[:, None, None, :],
        cls_rows=cls_rows.clamp(min=0),
        cls_columns=torch.zeros_like(cls_rows),
        mask=cls_rows >= 0,
    )


def chunks(turn: TurnTokens, limit: int) -> Iterable[TurnTokens]:
    """Split a turn so that no packed row has more than `limit` tokens of candidates.

    Memory grows with the square of a row's length. A longer candidate gets a row of its own.
    """
    part: list[list[int]] = []
    size = 0
    for candidate in turn.candidates:
        if part and size + len(candidate) + 2 > limit:
            yield turn._replace(candidates=part)
            part, size = [], 0
        part.append(candidate)
        size += len(candidate) + 2
    yield turn._replace(candidates=part)


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Pad rows of unequal length on the right: `[R, L]` int64."""
    length = max((len(row) for row in rows), default=0)
    padded = [[*row, *[value] * (length - len(row))] for row in rows]
    return torch.tensor(padded, dtype=torch.long).reshape(len(rows), length)
