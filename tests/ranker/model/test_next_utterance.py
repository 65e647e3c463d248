"""What is expected of the next utterance, from the round and what was just said."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cosine_similarity, normalize

from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.model.next_utterance import NextUtteranceModel, recent_texts

TURNS = 400


def _data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Aspect 0 comes in the first round, 1 after a question; replies turn the last utterance."""
    generator = torch.Generator().manual_seed(0)
    rounds = torch.arange(TURNS) % 4 + 1
    recent = normalize(torch.randn(TURNS, 3, 8, generator=generator), dim=-1)
    asked = recent[:, 0, 0] > 0
    promoted = torch.stack([rounds == 1, asked, torch.ones(TURNS), torch.zeros(TURNS)], dim=1)
    return recent, rounds, promoted.float(), recent[:, 0].roll(1, dims=1)


def test_it_learns_what_the_round_and_the_last_utterance_tell() -> None:
    recent, rounds, promoted, replies = _data()
    expectation = NextUtteranceModel(3, 3, 8).fit(recent, rounds, promoted, replies)
    found = expectation(recent, rounds).aspects
    assert found.shape == (TURNS, 4)
    early = found[rounds == 1, 0].mean() - found[rounds != 1, 0].mean()
    assert early > 0.1
    asked = promoted[:, 1] > 0
    assert found[asked, 1].mean() - found[~asked, 1].mean() > 0.02
    assert (found[:, 2] > 0.99).all()
    assert (found[:, 3] < 0.01).all()
    later = expectation(recent, rounds + 7).aspects
    torch.testing.assert_close(found[rounds == 3], later[rounds == 3])


def test_it_learns_what_is_said_next() -> None:
    recent, rounds, promoted, replies = _data()
    expectation = NextUtteranceModel(3, 3, 8).fit(recent, rounds, promoted, replies)
    said = expectation(recent, rounds).utterance
    assert cosine_similarity(said, replies).mean() > 0.8
    assert cosine_similarity(said, replies.roll(1, dims=0)).mean() < 0.2


def test_expectations_apart_do_not_know_the_answer() -> None:
    """Replies that nothing foretells: who has seen them expects them, who has not does not."""
    recent, rounds, promoted, _ = _data()
    generator = torch.Generator().manual_seed(1)
    replies = normalize(torch.randn(TURNS, 8, generator=generator), dim=-1)
    few = slice(0, 60)  # so that a fit can learn by heart
    given = (100 * recent[few], rounds[few], promoted[few], replies[few])
    groups = np.arange(60) // 3
    expectation = NextUtteranceModel(3, 3, 8).fit(*given)
    seen = cosine_similarity(expectation(*given[:2]).utterance, replies[few]).mean()
    apart = expectation.cross_fit(groups, *given)
    unseen = cosine_similarity(apart.utterance, replies[few]).mean()
    assert seen > 0.4
    assert unseen < 0.15
    # Turns of one conversation are never fitted to each other: what one foretells is the fit
    # without any of them.
    fold = groups % 4 == 2
    others = [value[~fold] for value in map(torch.Tensor.numpy, given)]
    again = NextUtteranceModel(3, 3, 8).fit(*map(torch.from_numpy, others))
    torch.testing.assert_close(
        apart.utterance[fold], again(given[0][fold], given[1][fold]).utterance
    )


def test_a_single_conversation_is_fitted_to_itself() -> None:
    recent, rounds, promoted, replies = (value[:4] for value in _data())
    apart = NextUtteranceModel(3, 3, 8).cross_fit(
        np.zeros(4, np.int64), recent, rounds, promoted, replies
    )
    assert torch.isfinite(apart.utterance).all()
    assert torch.isfinite(apart.aspects).all()


def test_the_last_three_utterances_the_newest_first() -> None:
    history = [Utterance("user", text) for text in "abcd"]
    assert recent_texts(history) == ["d", "c", "b"]
    assert recent_texts(history[:1]) == ["a", "", ""]
    assert recent_texts([]) == ["", "", ""]
