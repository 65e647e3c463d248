"""From texts to the Transformer's input, in the packed and in the pairwise form.

*Pairwise* is the paper's: `[CLS] history [SEP] candidate [SEP]`, one row per candidate, each with
its own copy of the history. *Packed* reads the history once per turn, in one row

    [CLS] history [SEP] | [CLS] c1 [SEP] | [CLS] c2 [SEP] | ...

where the history sees only itself, a candidate sees the history and itself, and each candidate's
positions continue the history's. A candidate's score therefore depends neither on the other
candidates nor on their order, as in the pairwise form, at about a fifth of the arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Self

import torch
from torch import Tensor

from langgraph_cooper.ranker.data.dialogue import Utterance, encodable, marked
from langgraph_cooper.ranker.model.config import Form

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHARACTERS_PER_TOKEN = 64
"""Texts are cut to this many characters per token before they are tokenised: words average five
characters a token, and tokenising 100 kB to keep 32 tokens would cost more than the ranking."""


class Specials(NamedTuple):
    """Token ids that frame the texts."""

    cls: int
    sep: int
    pad: int


class TurnTokens(NamedTuple):
    """One turn's texts as token ids, without special tokens."""

    history: list[int]
    candidates: list[list[int]]


@dataclass(frozen=True, slots=True)
class TokenBatch:
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

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        return type(self)(*(getattr(self, name).to(device) for name in self.__slots__))


class TurnTokenizer:
    """Cuts and tokenises a turn's texts; safe to use from several threads.

    Args:
        tokenizer: the Transformer's own.
        history_tokens: how many of the history's last tokens are kept.
        topic_tokens: how many of a candidate's first tokens are kept.
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
        """Tokenises one turn: the history cut on the left, each candidate on the right."""
        limit = self.topic_tokens * CHARACTERS_PER_TOKEN
        topics = self._ids([topic[:limit] for topic in candidates])
        cut = [ids[: self.topic_tokens] for ids in topics]
        return TurnTokens(self.history(history), cut)

    def history(self, history: Sequence[Utterance]) -> list[int]:
        """The last tokens of a dialogue, each utterance under its role mark."""
        limit = self.history_tokens * CHARACTERS_PER_TOKEN
        texts: list[str] = []
        characters = 0
        for utterance in reversed(history):  # no more than can matter
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
            # split_special_tokens: somebody who types "[SEP]" has typed five characters.
            ids = self.tokenizer(safe, add_special_tokens=False, split_special_tokens=True)
        return [list(tokens) for tokens in ids["input_ids"]]


def build(turns: Sequence[TurnTokens], specials: Specials, form: Form) -> TokenBatch:
    """Builds the input of the given form for B turns."""
    return pack(turns, specials) if form == "packed" else pair(turns, specials)


def pack(turns: Sequence[TurnTokens], specials: Specials) -> TokenBatch:
    """Packs B turns into B rows."""
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
    # A token sees its own segment and the history. Padding sees the history, so that no row of
    # the softmax is empty; nothing sees padding.
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    mask = (same | (segment_ids == 0)[:, None, :]) & (segment_ids >= 0)[:, None, :]
    cls_columns = _padded(columns, 0)
    rows = torch.arange(len(turns))[:, None].expand_as(cls_columns)
    return TokenBatch(
        input_ids=_padded(ids, specials.pad),
        position_ids=_padded(positions, 0),
        token_type_ids=(segment_ids > 0).long(),
        attention_mask=mask[:, None],
        cls_rows=rows,
        cls_columns=cls_columns,
    )


def pair(turns: Sequence[TurnTokens], specials: Specials) -> TokenBatch:
    """Makes one row per candidate of B turns, padded on the right."""
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
    cls_rows = _padded(rows, 0)
    return TokenBatch(
        input_ids=_padded(ids, specials.pad),
        position_ids=torch.arange(token_type_ids.shape[1]).expand_as(token_type_ids) * real,
        token_type_ids=token_type_ids.clamp(min=0),
        attention_mask=real[:, None, None, :],
        cls_rows=cls_rows,
        cls_columns=torch.zeros_like(cls_rows),
    )


def chunks(turn: TurnTokens, limit: int) -> Iterable[TurnTokens]:
    """Splits a turn so that no packed row has more than `limit` tokens of candidates.

    Memory grows with the square of a row's length; a candidate's score does not change with the
    company it is in.
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
    """`[R, L]` int64 of rows of unequal length, padded on the right."""
    length = max((len(row) for row in rows), default=0)
    padded = [[*row, *[value] * (length - len(row))] for row in rows]
    return torch.tensor(padded, dtype=torch.long).reshape(len(rows), length)
