"""How well a reply answers what was said: a small head on sentence embeddings.

Two projections, of the last utterances and of the reply, meet in an inner product (a dual encoder:
Henderson et al. 2017, "Efficient natural language response suggestion"). A small network weighs it
together with cosines and shared words, which the embeddings lose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from langgraph_cooper.nodes.language.text import words
from langgraph_cooper.prompts import CooperError
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.model.computing import product
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER
from langgraph_cooper.ranker.model.encoder import encoder_sha256, file_sha256, first_line

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
Floats = NDArray[np.float32]

SHIPPED = Path(__file__).parent / "checkpoints"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
REMEDY = "reinstall langgraph-cooper, or train it again with 'cooper train relevance'"

HEARD = 3  # last utterances that are read: the user's, the system's, the user's before it
CONTENT = re.compile(r"[a-z']{4,}")
COMMON = frozenset(
    [
        "about", "again", "because", "been", "being", "could", "does", "doing", "don't", "feel",
        "feeling", "from", "going", "good", "have", "here", "i'll", "i've", "it's", "just", "know",
        "like", "make", "maybe", "more", "much", "really", "should", "some", "something", "sorry",
        "that", "that's", "them", "then", "there", "they", "thing", "things", "think", "this",
        "time", "very", "want", "well", "were", "what", "when", "will", "with", "would", "yeah",
        "you're", "you've", "your",
    ]
)  # fmt: skip
MEASURES = (
    "cosine with the user's last words", "cosine with the system's last words",
    "cosine with the user's words before", "cosine with all that the user said",
    "share of content words that were heard", "number of content words that were heard",
    "share of the user's content words taken up", "the user asks", "the reply asks", "both ask",
    "length", "length heard", "round",
)  # fmt: skip
"""The features besides the embeddings, in order."""


class RelevanceError(CooperError):
    """A model of relevance cannot be loaded."""


class RelevanceConfig(BaseModel):
    """The form of a model; saved as `config.json` beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    encoder: str = DEFAULT_ENCODER
    encoder_sha256: str | None = None
    weights_sha256: str = ""


class Heard:
    """What was said, embedded once for all replies to it.

    Args:
        said: The dialogue, oldest utterance first.
        embed: The sentence encoder.
    """

    def __init__(self, said: Sequence[Utterance], embed: Embed) -> None:
        users = [utterance.text for utterance in said if utterance.speaker == "user"]
        systems = [utterance.text for utterance in said if utterance.speaker == "system"]
        self.last = users[-1] if users else ""
        self.round = len(systems) + 1
        last = [self.last, systems[-1] if systems else "", users[-2] if len(users) > 1 else ""]
        vectors = embed([*last, *users[-6:]])
        self.vectors: Floats = vectors[:HEARD]
        whole = vectors[HEARD:].sum(0)
        self.whole: Floats = whole / max(float(np.linalg.norm(whole)), 1e-6)
        self.content = content_words(" ".join(users[-6:]))
        self.last_content = content_words(self.last)


def content_words(text: str) -> frozenset[str]:
    """Return the words of four letters or more that carry meaning."""
    return frozenset(CONTENT.findall(text.lower().replace("’", "'"))) - COMMON


def measures(heard: Heard, replies: Sequence[str], vectors: Floats) -> Floats:
    """Return [N, len(MEASURES)] the features of N replies with embeddings `vectors`, [N, n_d]."""
    rows = np.array([_lexical(heard, reply) for reply in replies], np.float32)
    found = [vectors @ heard.vectors.T, vectors @ heard.whole, rows]
    return np.column_stack(found).astype(np.float32)


def _lexical(heard: Heard, reply: str) -> list[float]:
    own = content_words(reply)
    shared, taken = own & heard.content, own & heard.last_content
    user_asks, asks = "?" in heard.last, "?" in reply
    return [
        len(shared) / max(len(own), 1),
        min(len(shared), 5) / 5,
        len(taken) / max(len(heard.last_content), 1),
        float(user_asks),
        float(asks),
        float(user_asks and asks),
        float(np.log1p(len(words(reply))) / 4),
        float(np.log1p(len(words(heard.last))) / 4),
        min(heard.round, 12) / 12,
    ]


class RelevanceModel:
    """A trained model, safe to share between threads.

    Args:
        config: Its form.
        weights: `heard` [3 n_d, w], `reply` [n_d, w], `mean` and `scale` [len(MEASURES)], `hidden`
            [w + len(MEASURES), h], `hidden_bias` [h], `out` [h + 1], `out_bias` [1].
        embed: The sentence encoder.
    """

    def __init__(self, config: RelevanceConfig, weights: dict[str, Any], embed: Embed) -> None:
        self.config = config
        self._w = {name: np.asarray(value, np.float32) for name, value in weights.items()}
        self._embed = embed

    def score(self, said: Sequence[Utterance], replies: Sequence[str]) -> Floats:
        """Return [N] the log-odds, up to a constant, that each reply is the one that follows."""
        if not replies:
            return np.zeros(0, np.float32)
        heard = Heard(said, self._embed)
        vectors = self._embed(replies)
        return self.head(heard.vectors, vectors, measures(heard, replies, vectors))

    def head(self, heard: Floats, replies: Floats, measured: Floats) -> Floats:
        """Return [N] scores.

        Args:
            heard: `[3, n_d]` embeddings of the last utterances.
            replies: `[N, n_d]` embeddings.
            measured: `[N, len(MEASURES)]` features.
        """
        w = self._w
        both = product(heard.reshape(-1), w["heard"]) * product(replies, w["reply"])  # [N, w]
        dense = (measured - w["mean"]) / w["scale"]
        found = product(np.column_stack([both, dense]), w["hidden"])
        hidden = np.maximum(found + w["hidden_bias"], 0)
        last = np.column_stack([hidden, both.sum(1)])
        scores: Floats = last @ w["out"] + w["out_bias"]
        return scores


def read_relevance(folder: str | Path, embed: Embed) -> RelevanceModel:
    """Load a model.

    Args:
        folder: Its folder.
        embed: The encoder that it was trained on.

    Raises:
        RelevanceError: Its files are missing or damaged, or made for another encoder.
    """
    folder = Path(folder)
    try:
        config = RelevanceConfig.model_validate_json((folder / CONFIG).read_bytes())
        weights = load_file(folder / WEIGHTS)
        found = file_sha256(folder / WEIGHTS)
    except (OSError, ValidationError, SafetensorError) as error:
        raise RelevanceError(
            f"the model of relevance in {folder} cannot be read ({first_line(error)}): {REMEDY}"
        ) from None
    if found != config.weights_sha256 or encoder_sha256(config.encoder) != config.encoder_sha256:
        raise RelevanceError(
            f"the model of relevance in {folder} does not belong to its {CONFIG} or to the "
            f"encoder {config.encoder}: {REMEDY}"
        )
    return RelevanceModel(config, weights, embed)
