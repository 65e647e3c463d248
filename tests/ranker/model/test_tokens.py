"""The Transformer's input: what sees what, and where each token stands."""

from __future__ import annotations

import torch

from langgraph_cooper.ranker.data.dialogue import Utterance, dialogue_round
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER
from langgraph_cooper.ranker.model.tokens import (
    Specials,
    TurnTokenizer,
    TurnTokens,
    chunks,
    pack,
    pair,
)
from langgraph_cooper.ranker.model.transformer import load_transformer

CLS, SEP, PAD = SPECIALS = Specials(101, 102, 0)
TURN = TurnTokens([7, 8], [[21], [31, 32]])


def test_packed_row_by_hand() -> None:
    batch = pack([TURN], SPECIALS)
    assert batch.input_ids.tolist() == [[CLS, 7, 8, SEP, CLS, 21, SEP, CLS, 31, 32, SEP]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7]]
    assert batch.token_type_ids.tolist() == [[0] * 4 + [1] * 7]
    assert batch.cls_rows.tolist() == [[0, 0]]
    assert batch.cls_columns.tolist() == [[4, 7]]
    h, a, b = [1, 1, 1, 1], [1, 1, 1], [1, 1, 1, 1]
    expected = [h + [0] * 7] * 4 + [h + a + [0] * 4] * 3 + [h + [0] * 3 + b] * 4
    assert batch.attention_mask.shape == (1, 1, 11, 11)
    assert batch.attention_mask[0, 0].long().tolist() == expected


def test_packed_padding_is_never_seen_and_sees_something() -> None:
    short = TurnTokens([9], [[41]])
    batch = pack([TURN, short], SPECIALS)
    assert batch.input_ids[1].tolist() == [CLS, 9, SEP, CLS, 41, SEP, *[PAD] * 5]
    mask = batch.attention_mask[1, 0]
    assert not mask[:, 6:].any()
    assert mask.any(dim=-1).all()
    assert torch.equal(mask[:6, :6], pack([short], SPECIALS).attention_mask[0, 0])


def test_pairs_by_hand() -> None:
    batch = pair([TURN, TurnTokens([], [[5]])], SPECIALS)
    assert batch.input_ids.tolist() == [
        [CLS, 7, 8, SEP, 21, SEP, PAD],
        [CLS, 7, 8, SEP, 31, 32, SEP],
        [CLS, SEP, 5, SEP, PAD, PAD, PAD],
    ]
    assert batch.token_type_ids.tolist() == [
        [0, 0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1, 1, 1],
        [0, 0, 1, 1, 0, 0, 0],
    ]
    assert batch.position_ids[2].tolist() == [0, 1, 2, 3, 0, 0, 0]
    assert batch.attention_mask[:, 0, 0].sum(dim=-1).tolist() == [6, 7, 4]
    assert batch.cls_rows.tolist() == [[0, 1], [2, 0]]


def test_chunks_keep_order_history_and_every_candidate() -> None:
    turn = TurnTokens([1], [[10 + i] * (i % 5) for i in range(50)] + [[1] * 100])
    parts = list(chunks(turn, 20))
    assert [c for part in parts for c in part.candidates] == turn.candidates
    assert all(part.history == [1] for part in parts)
    sizes = [sum(len(c) + 2 for c in part.candidates) for part in parts]
    assert all(size <= 20 for size in sizes[:-1])
    assert sizes[-1] == 102  # one that is longer than the limit stands alone


def test_history_is_cut_on_the_left_and_topics_on_the_right() -> None:
    loaded = load_transformer(DEFAULT_ENCODER)
    tokenizer = TurnTokenizer(loaded.tokenizer, history_tokens=6, topic_tokens=3)
    history = [Utterance("system", "how are you today"), Utterance("user", "I lost my dog")]
    turn = tokenizer.turn(history, ["one two three four five", ""])
    decode = loaded.tokenizer.decode
    assert decode(turn.history) == "user : i lost my dog"
    assert decode(turn.candidates[0]) == "one two three"
    assert turn.candidates[1] == []
    whole = TurnTokenizer(loaded.tokenizer, history_tokens=99, topic_tokens=3).history(history)
    assert decode(whole) == "system : how are you today user : i lost my dog"
    assert tokenizer.history([]) == []


def test_enormous_and_hostile_texts() -> None:
    loaded = load_transformer(DEFAULT_ENCODER)
    tokenizer = TurnTokenizer(loaded.tokenizer, history_tokens=128, topic_tokens=16)
    turn = tokenizer.turn([Utterance("user", "word " * 100_000)], ["x y " * 25_000, "[SEP] [CLS]"])
    assert len(turn.history) == 128
    assert len(turn.candidates[0]) == 16
    assert set(turn.candidates[1]).isdisjoint(tokenizer.specials)


def test_rounds_count_what_the_system_said() -> None:
    assert dialogue_round([]) == 1
    assert dialogue_round([Utterance("system", "hi"), Utterance("user", "hi")]) == 2
