"""Which Transformers are read rightly, and what is said of those that cannot be loaded."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from langgraph_cooper.ranker.model.encoder import EncoderError
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.tokens import TokenBatch, TurnTokenizer, build
from langgraph_cooper.ranker.model.transformer import (
    READABLE,
    SUPPORTED,
    Transformer,
    load_transformer,
    transformer_from_config,
)
from tests.ranker.tiny import (
    HIDDEN,
    HISTORY,
    TOPICS,
    random_ranker,
    ranker_config,
    save_tiny,
    tiny_config,
)

REFUSED = ("roberta", "xlm-roberta", "mpnet", "distilbert", "albert")


@pytest.fixture(params=SUPPORTED)
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Transformer:
    transformer = load_transformer(save_tiny(request.param, tmp_path / request.param))
    return transformer._replace(module=transformer.module.eval())


def batch(loaded: Transformer, form: Any, topics: tuple[str, ...] = TOPICS) -> TokenBatch:
    tokenizer = TurnTokenizer(loaded.tokenizer, history_tokens=40, topic_tokens=12)
    return build([tokenizer.turn(HISTORY, topics)], tokenizer.specials, form)


@torch.inference_mode()
def at_cls(module: nn.Module, tokens: TokenBatch, **changes: Any) -> Tensor:
    """`[C, hidden]` as the ranker calls the Transformer, but for what is changed."""
    given: dict[str, Any] = {
        "attention_mask": tokens.attention_mask,
        "position_ids": tokens.position_ids,
    }
    hidden = module(
        input_ids=tokens.input_ids, token_type_ids=tokens.token_type_ids, **given | changes
    ).last_hidden_state
    found: Tensor = hidden[tokens.cls_rows[0], tokens.cls_columns[0]]
    return found


def test_pairs_are_what_the_model_makes_of_them_by_itself(loaded: Transformer) -> None:
    """Positions that begin elsewhere than at 0 would be seen here."""
    together = at_cls(loaded.module, batch(loaded, "pairwise"))
    for number, topic in enumerate(TOPICS):
        alone = batch(loaded, "pairwise", (topic,))
        own = at_cls(loaded.module, alone, attention_mask=None, position_ids=None)
        torch.testing.assert_close(together[number], own[0], atol=1e-4, rtol=1e-4)


def test_packed_candidates_see_the_history_and_themselves(loaded: Transformer) -> None:
    """Against attention written out, with the mask as numbers, one candidate at a time."""
    together = at_cls(loaded.module, batch(loaded, "packed"))
    assert together.std(dim=0).mean() > 0.05
    config = deepcopy(loaded.module.config)
    plain = AutoModel.from_config(config, attn_implementation="eager").eval()
    plain.load_state_dict(loaded.module.state_dict(), strict=False)  # but for the pooler
    for number, topic in enumerate(TOPICS):
        alone = batch(loaded, "packed", (topic,))
        hidden = torch.zeros(alone.attention_mask.shape).masked_fill(~alone.attention_mask, -1e30)
        own = at_cls(plain, alone, attention_mask=hidden, position_ids=None)
        torch.testing.assert_close(together[number], own[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("whole", [{}, {"weights": "full", "adapter": None}])
@pytest.mark.parametrize("kind", SUPPORTED)
def test_checkpoints_hold_every_type(kind: str, whole: dict[str, Any], tmp_path: Path) -> None:
    folder = save_tiny(kind, tmp_path / "transformer")
    ranker = random_ranker(ranker_config(folder, **whole))
    ranker.save_pretrained(tmp_path / "ranker", half=False)
    again = CooperRanker.from_pretrained(tmp_path / "ranker")
    tokens = ranker.tokens([ranker.tokenizer.turn(HISTORY, TOPICS)])
    with torch.inference_mode():
        torch.testing.assert_close(again.encode(tokens), ranker.encode(tokens), atol=1e-4, rtol=0)


@torch.inference_mode()
def test_whole_texts_are_read_by_one_type_more(tmp_path: Path) -> None:
    """MPNet cannot mask packed candidates, but reads texts by themselves."""
    folder = save_tiny("mpnet", tmp_path)
    loaded = load_transformer(folder, READABLE)
    given = loaded.tokenizer([TOPICS[0], TOPICS[2]], padding=True, return_tensors="pt")
    plain = AutoModel.from_pretrained(folder).eval()
    for number, topic in enumerate((TOPICS[0], TOPICS[2])):
        alone = plain(**_read(loaded.tokenizer([topic], return_tensors="pt")))[0][0]
        padded = loaded.module.eval()(**_read(given))[0][number]
        torch.testing.assert_close(padded[: len(alone)], alone, atol=1e-4, rtol=1e-4)


def _read(tokens: Any) -> dict[str, Tensor]:
    return {name: tokens[name] for name in ("input_ids", "attention_mask")}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_types_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    AutoConfig.for_model(kind).save_pretrained(tmp_path)  # refused before any weights are fetched
    with pytest.raises(EncoderError) as caught:
        load_transformer(str(tmp_path))
    text = str(caught.value)
    for part in (f"Transformer {str(tmp_path)!r}", f"type {kind!r}", "bert or electra", "all-Mini"):
        assert part in text
    assert "\n" not in text
    with pytest.raises(EncoderError, match=f"saved in there is .* type '{kind}'"):
        transformer_from_config({"model_type": kind}, "there")


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"cannot be loaded \(.*config\.json.*\): check"):
        load_transformer(str(tmp_path))
    folder = Path(save_tiny("bert", tmp_path / "bert"))
    (folder / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"cannot be loaded \(.*model\.safetensors.*\): check"):
        load_transformer(str(folder))


def test_what_cannot_be_rebuilt_says_why(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"cannot be rebuilt \(.+\): its tokeniser") as caught:
        transformer_from_config(tiny_config("bert").to_dict(), tmp_path)
    assert "\n" not in str(caught.value)
    folder = save_tiny("bert", tmp_path / "bert")
    with pytest.raises(EncoderError, match=r"cannot be rebuilt \(.*model_type.*\): its tokeniser"):
        transformer_from_config({"hidden_size": HIDDEN}, folder)
