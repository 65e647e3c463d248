"""Tiny random base models with a tokenizer of letters."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from langgraph_cooper.nodes.finetuned.base import Base
from langgraph_cooper.nodes.finetuned.format import Kind

MARKS = {"causal": ["<|im_start|>", "<|im_end|>"], "seq2seq": ["<s>", "<pad>", "</s>"]}


@cache
def letters(kind: Kind) -> Any:
    """A tokenizer with a token for each byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    marks = MARKS[kind]
    names = [*marks, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({name: place for place, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(marks)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=marks[0],
        eos_token=marks[-1],
        unk_token=marks[-1],
        pad_token=marks[1] if kind == "seq2seq" else marks[-1],
    )


def tiny_base(kind: Kind, seed: int = 0) -> Base:
    """A random base of two layers."""
    import torch
    from transformers import BartConfig, BartForConditionalGeneration, LlamaConfig, LlamaForCausalLM

    tokenizer = letters(kind)
    torch.manual_seed(seed)
    if kind == "causal":
        model: Any = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64,
                num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                max_position_embeddings=2048, bos_token_id=0, eos_token_id=1, pad_token_id=1,
                tie_word_embeddings=True, initializer_range=0.2,
            )
        )  # fmt: skip
    else:
        model = BartForConditionalGeneration(
            BartConfig(
                vocab_size=len(tokenizer), d_model=32, encoder_layers=2, decoder_layers=2,
                encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64,
                decoder_ffn_dim=64, max_position_embeddings=1024, bos_token_id=0, pad_token_id=1,
                eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2, init_std=0.2,
            )
        )  # fmt: skip
    return Base(model.eval(), tokenizer, kind)


def write_base(kind: Kind, folder: Path, seed: int = 0) -> Path:
    """Write a tiny base as transformers writes models."""
    base = tiny_base(kind, seed)
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    return folder
