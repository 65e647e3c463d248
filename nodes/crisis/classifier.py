"""The classifier of crises: what a message means, where the phrases only know its words.

A sentence encoder with low-rank adapters (LoRA) reads the message. From the mean and the maximum of
its token embeddings, and from what the phrases find, a linear head gives the log-odds of a crisis
and of each kind. Reference: Hu et al., "LoRA" (2022), section 4.

A second model reads it together with what the user said before. Their log-odds are pooled: a
weighted mean, as in the logarithmic opinion pool of Genest and Zidek, "Combining probability
distributions" (1986).
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from langgraph_cooper.nodes.crisis.context import ContextModel, Pool, said_before
from langgraph_cooper.nodes.crisis.course import TIERS, Finding
from langgraph_cooper.nodes.crisis.foreign import foreign_phrase
from langgraph_cooper.nodes.crisis.lexicon import phrases
from langgraph_cooper.nodes.crisis.phrases import crisis_kind, denies, disguised, withdraws
from langgraph_cooper.nodes.language.english import may_be_english
from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.language.spelling import corrected
from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.prompts import CooperError, CrisisKind
from langgraph_cooper.ranker.data.dialogue import encodable
from langgraph_cooper.ranker.model.computing import compute
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER, AdapterConfig
from langgraph_cooper.ranker.model.encoder import (
    encoder_sha256,
    file_sha256,
    first_line,
    local_encoder,
)
from langgraph_cooper.ranker.model.lora import load_adapted
from langgraph_cooper.ranker.model.transformer import READABLE, load_transformer

LOG = logging.getLogger(__name__)
SHIPPED = Path(__file__).parent / "checkpoint"
LARGER = SHIPPED / "larger"
"""The classifier on a larger encoder, all-mpnet-base-v2, which users bring or download."""
CONFIG, WEIGHTS = "config.json", "model.safetensors"
STALE = "belongs to another classifier: train it again with 'cooper train context'"
REMEDY = "reinstall langgraph-cooper, or train the classifier again with 'cooper train guard'"
CLAUSE_END = re.compile(r"[.,;:!?\u2026\n\u2013\u2014]+(?:\s|$)|\s-+\s")
MAX_TOKENS = 96
REMEMBERED = 4_096  # messages
FEWEST_WORDS = 3  # of "Last week." no encoder can say whether it is a farewell
WINDOW = 60  # words that are read at once; a longer message is read in windows, overlapping by half
MAX_WINDOWS = 64
PHRASE_CERTAIN = 1.0  # a phrase lowers the threshold of a certain crisis by so much
PHRASE_CONCERN, ALONE_CONCERN = 1.3, 3.3
"""By how much a phrase lowers the threshold of a concern in a long and in a short message. In a
short one the encoder has little else to go by."""
SHORT = 12  # words
EXPLAINED = 2.0
"""Least drop of the pooled log-odds, by the words before a message, that clears it of what the
classifier plainly finds in it."""
FEW_WORDS, UNSURE = 5, 1.0  # so few words have to mean more: "It was last week." is mostly harmless
PICTURES = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f]+")  # unknown to the encoder
FOUND = 5.0  # as large as the strongest token features, so that its weight is learnt as quickly


class ClassifierError(CooperError):
    """The guard's classifier cannot be loaded."""


class ClassifierConfig(BaseModel):
    """The form of a classifier; saved as `config.json` beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = DEFAULT_ENCODER
    encoder_sha256: str | None = None
    adapters: AdapterConfig = AdapterConfig(rank=16, alpha=32.0)
    kinds: tuple[CrisisKind, ...]
    certain: float = 0.0
    """Log-odds from which a crisis is certain, where it is read by itself."""
    concern: float = 0.0
    """Log-odds from which it is a concern, likewise."""
    weights_sha256: str = ""


class CrisisModel(nn.Module):
    """The encoder and the head.

    Args:
        config: The form.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        encoder = load_transformer(config.encoder, READABLE)
        self.encoder, self.tokenizer = encoder.module, encoder.tokenizer
        self._words = frozenset(self.tokenizer.get_vocab())
        self.head = nn.Linear(2 * encoder.width + len(config.kinds) + 1, 1 + len(config.kinds))

    def legible(self, text: str) -> str:
        """Return what the encoder can read of a text: without pictures and slips of the keyboard.

        A word that it knows whole is none.
        """
        return corrected(PICTURES.sub(" ", text), self._words)

    def inputs(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return the model's input for N texts.

        Returns:
            `input_ids` and `attention_mask`, `[N, tokens]`, and `found`, `[N, kinds + 1]`: `FOUND`
            where the phrases find a kind of crisis or a denial, else 0.
        """
        tokens = self.tokenizer(
            [encodable(self.legible(text)) for text in texts],
            padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt",
        )  # fmt: skip
        found = [
            [FOUND * (crisis_kind(text) == kind) for kind in self.config.kinds]
            + [FOUND * denies(text)]
            for text in texts
        ]
        given = {name: tokens[name] for name in ("input_ids", "attention_mask")}
        return {**given, "found": torch.tensor(found)}

    def forward(self, input_ids: Tensor, attention_mask: Tensor, found: Tensor) -> Tensor:
        """Return log-odds `[N, 1 + kinds]`: of a crisis, and the logits of its kinds."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0].float()
        mask = attention_mask[..., None].float()
        mean = (hidden * mask).sum(1) / mask.sum(1)
        largest = hidden.masked_fill(mask == 0, -torch.inf).amax(1)
        odds: Tensor = self.head(torch.cat([mean, largest, found], 1))
        return odds


class Belief(NamedTuple):
    """What is believed of a text: the log-odds of a crisis, and its likeliest kind."""

    odds: float
    kind: CrisisKind


class CrisisClassifier:
    """A trained classifier, safe to share between threads.

    Args:
        model: The model, its adapters merged.
        context: Reads a message together with those before it. None, or one that is not pooled
            with this classifier: each is read by itself.
    """

    def __init__(self, model: CrisisModel, context: ContextModel | None = None) -> None:
        self.config = model.config
        self._pool = context and context.form.pool_with(model.config.weights_sha256)
        self.thresholds: ClassifierConfig | Pool = self._pool or model.config
        self._model, self._context = model.eval(), context
        self._alone = remembered(REMEMBERED)(self._compute_alone)
        self._pooled = remembered(REMEMBERED)(self._compute_pooled)

    def read(self, text: str, said: Sequence[str] = (), *, rarer: float = 0.0) -> Finding:
        """Return what a message shows.

        A phrase in disguise ("k1ll mys3lf") is certain: the encoder cannot read it. A phrase that
        it can read is a concern at least, unless its meaning is plainly harmless, and so is a
        denial that is taken back; nothing that was said before explains a phrase away. The first
        message is read by the classifier alone, a later one by both models; what the classifier
        finds plainly is given up only where the words before explain it. A concern by meaning is
        faint in the lower half between the thresholds. Of one or two words, and in other languages,
        the phrases alone decide.

        Args:
            text: The message.
            said: What the user said before it.
            rarer: How much rarer a crisis is than where the thresholds were chosen, as a natural
                logarithm: by Bayes' rule the threshold of a concern by meaning rises by so much,
                up to that of a certain crisis.
        """
        found = self._find(text, said, rarer)
        alone = self._find(text, (), rarer) if said else found
        less = TIERS.index(found.tier) < TIERS.index(alone.tier)
        plainly = less and not alone.faint
        return alone if plainly and not self._explained(text, said) else found

    def _explained(self, text: str, said: Sequence[str]) -> bool:
        """Return whether it is the words before a message that make it less grave.

        A mere disagreement of the two models explains nothing: the context model reads misspelt
        words badly.
        """
        return self.odds(text) - self.odds(text, said) >= EXPLAINED

    def _find(self, text: str, said: Sequence[str], rarer: float) -> Finding:
        known, foreign = crisis_kind(text), foreign_phrase(text)
        if known and (disguised(text) or foreign):
            return Finding("certain", known)
        worry = Finding("concern", foreign.kind) if foreign else Finding()
        if not readable(text):
            return Finding("certain", known) if known else worry
        alone = known or not said
        read = self._by_itself if alone else partial(self._belief, before=said_before(said))
        odds, kind = self._believed(text, read)
        thresholds = self.config if alone else self.thresholds
        certain, concern = thresholds.certain, thresholds.concern
        plain = (concern + certain) / 2
        if known:
            certain, concern = certain - PHRASE_CERTAIN, concern - _lowered(text)
        else:
            concern = min(concern + unsure(text) + rarer, certain)
        if odds >= certain:
            return Finding("certain", known or kind)
        if withdraws(text):
            return Finding("concern", known or kind)
        if odds >= concern and not foreign:
            return Finding("concern", known or kind, faint=not known and odds < plain)
        return worry

    def doubts(self, text: str, said: Sequence[str] = ()) -> CrisisKind | None:
        """Return the likeliest kind of crisis of a message at which a second reader should look.

        `said` is what the user said before it. None: it is certain, or too short to mean anything
        by itself. In another script a word may be a whole message.
        """
        by_both = self.read(text, said).tier == "certain" == self.read(text).tier
        if by_both or not any(map(str.isalpha, text)):
            return None
        if not readable(text):
            return None if may_be_english(text) else self.config.kinds[0]
        return self._by_itself(text).kind

    def odds(self, text: str, said: Sequence[str] = ()) -> float:
        """Return the log-odds of a crisis: of the gravest window of a long message."""
        return self._belief(text, said_before(said)).odds

    @staticmethod
    def _believed(text: str, read: Callable[[str], Belief]) -> Belief:
        """Return what is believed of a message, its plain denials included."""
        belief = read(text)
        if denies(text):
            # A plain denial is believed, but silences nothing else that was said.
            rest = "; ".join(part for part in clauses(text) if not denies(part))
            belief = belief._replace(odds=read(rest).odds if readable(rest) else -math.inf)
        return belief

    def _belief(self, text: str, before: str) -> Belief:
        if self._pool is None:
            return self._by_itself(text)
        return self._pooled(json.dumps((text, self._model.legible(before))))

    def _by_itself(self, text: str) -> Belief:
        """Return the classifier's own belief, whatever was said before."""
        return max(self._alone(text))

    def _compute_alone(self, text: str) -> list[Belief]:
        found = compute(partial(self._forward, windows(text)))
        return [Belief(float(each[0]), self.config.kinds[int(each[1:].argmax())]) for each in found]

    def _compute_pooled(self, texts: str) -> Belief:
        assert self._context
        assert self._pool
        text, before = json.loads(texts)
        share = self._pool.share
        pairs = [Pair(before, self._model.legible(window)) for window in windows(text)]
        read = self._context.read(pairs)[:, 0]
        both = zip(self._alone(text), read.tolist(), strict=True)
        return max(Belief((1 - share) * own.odds + share * odds, own.kind) for own, odds in both)

    def _forward(self, texts: Sequence[str]) -> Tensor:
        with torch.inference_mode():
            odds: Tensor = self._model(**self._model.inputs(texts))
        return odds


def _lowered(text: str) -> float:
    """Return by how much a phrase in a message lowers the threshold of a concern."""
    words = sum(any(map(str.isalpha, word)) for word in text.split())  # no pictures
    return ALONE_CONCERN if words <= SHORT else PHRASE_CONCERN


def unsure(text: str) -> float:
    """Return by how much the log-odds of a concern have to be higher in so few words."""
    return UNSURE if len(text.split()) <= FEW_WORDS else 0.0


def readable(text: str) -> bool:
    """Return whether a message is long enough to mean something, and may be English."""
    return len(text.split()) >= FEWEST_WORDS and may_be_english(text)


def clauses(text: str) -> list[str]:
    """Cut a text at its punctuation: a comma ends a denial."""
    return [part for part in CLAUSE_END.split(text) if part.strip()]


def windows(text: str) -> list[str]:
    """Cut a long text into windows of words, each overlapping the next by half.

    Of a text that is far too long to be answered, those with a phrase are kept.
    """
    words = re.findall(r"\S+", text)
    if len(words) <= WINDOW:
        return [text]
    starts = range(0, len(words) - WINDOW // 2, WINDOW // 2)
    cut = [" ".join(words[start : start + WINDOW]) for start in starts]
    if len(cut) > MAX_WINDOWS:
        cut.sort(key=lambda window: crisis_kind(window) is None)  # those with a phrase first
    return cut[:MAX_WINDOWS]


def read_classifier(
    folder: str | Path, context: ContextModel | None = None, encoder: str | None = None
) -> CrisisClassifier:
    """Load a classifier.

    Args:
        folder: Its files.
        context: Reads a message together with those before it, if any does.
        encoder: A folder or hub name of its encoder, where that is not at the name that it was
            trained with.

    Raises:
        ClassifierError: Its files are missing or damaged, or made for another encoder.
        EncoderError: The encoder cannot be loaded.
    """
    folder = Path(folder)
    try:
        config = ClassifierConfig.model_validate_json((folder / CONFIG).read_bytes())
        tensors = load_file(folder / WEIGHTS)
        found = file_sha256(folder / WEIGHTS)
    except (OSError, ValidationError, SafetensorError) as error:
        raise ClassifierError(
            f"the guard's classifier in {folder} cannot be read ({first_line(error)}): {REMEDY}"
        ) from None
    if (name := encoder or config.encoder) != DEFAULT_ENCODER:
        config = config.model_copy(update={"encoder": str(local_encoder(name))})
    if config.kinds != crisis_kinds():
        raise ClassifierError(f"the guard's classifier in {folder} has other kinds: {REMEDY}")
    if found != config.weights_sha256 or encoder_sha256(config.encoder) != config.encoder_sha256:
        raise ClassifierError(
            f"the guard's classifier in {folder} does not belong to its {CONFIG} or to the encoder "
            f"{config.encoder}: {REMEDY}"
        )
    model = CrisisModel(config)
    try:
        load_adapted(model.encoder, model.head, config.adapters, tensors)
    except ValueError:
        raise ClassifierError(
            f"the guard's classifier in {folder} lacks weights: {REMEDY}"
        ) from None
    if context and not context.form.pool_with(config.weights_sha256):
        LOG.warning("the guard reads each message by itself: its context model %s", STALE)
    return CrisisClassifier(model, context)


def crisis_kinds() -> tuple[CrisisKind, ...]:
    """Return the kinds of crisis, gravest first."""
    return tuple(kind.name for kind in phrases().kinds)
