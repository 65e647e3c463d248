"""Samples replies from a generator's quick copy, by CTranslate2."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from langgraph_cooper.nodes.finetuned.base import INSTALL
from langgraph_cooper.nodes.finetuned.cache import TOKENIZER, copy_folder, quick_copy
from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint, VoiceConfig
from langgraph_cooper.nodes.finetuned.errors import VoiceError, VoiceMissing
from langgraph_cooper.nodes.finetuned.format import Format, Given
from langgraph_cooper.ranker.model.forking import give_way, renew_after_fork, wait_before_fork

WORKERS = 2
"""Samples are drawn by two workers of one thread each: CTranslate2's threads spend more time on
waiting for each other than on so small a model."""
ENOUGH, LONGER = 60, 8
"""Once so many of a hundred samples have ended, one that is so many tokens longer is given up."""


class Sampling(BaseModel):
    """How replies are drawn.

    Attributes:
        samples: Number of replies to choose from.
        temperature: Below 1 the likely tokens become likelier.
        top_k: Tokens are drawn from so many likeliest; to sort all of a vocabulary takes longer
            than the model.
        top_p: ... of which those are left that have this probability together.
        repetition: Penalty of tokens that the text has already.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: int = Field(default=8, ge=1, le=64)
    temperature: float = Field(default=0.8, gt=0)
    top_k: int = Field(default=100, ge=1)
    top_p: float = Field(default=0.9, gt=0, le=1)
    repetition: float = Field(default=1.0, ge=1)


class Patience:
    """Ends samples that become far longer than most others of their turn: they are waited for.

    Args:
        samples: Of each turn.
        parts: Batches that a turn is cut into.
        stopped: Asked after each token; True ends all.
    """

    def __init__(self, samples: int, parts: int, stopped: Callable[[], bool]) -> None:
        self._parts, self._stopped = parts, stopped
        self._enough = -(-samples * ENOUGH // 100)
        self._lengths: dict[int, list[int]] = {}

    def __call__(self, step: Any) -> bool:
        """Return whether a sample ends here."""
        if self._stopped():
            return True
        ended = self._lengths.setdefault(step.batch_id // self._parts, [])
        if step.is_last:
            ended.append(step.step)
        return len(ended) >= self._enough and step.step > max(ended) + LONGER


class Engine:
    """A generator that samples replies; several threads may use it.

    In a forked child the threads of CTranslate2 do not exist: the child loads the copy again when
    it first speaks.

    Args:
        folder: The quick copy.
        config: The checkpoint's configuration.
    """

    def __init__(self, folder: Path, config: VoiceConfig) -> None:
        from tokenizers import Tokenizer

        self._folder = folder
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self.format = Format(self._tokenizer, config.kind, config.budgets)
        self._model: Any = None
        self._busy = threading.Lock()
        wait_before_fork(self._busy)
        renew_after_fork(self)

    def forked(self) -> None:
        """Forget the model in a child."""
        # Its destructor would wait for threads that the child does not have.
        _forgotten.append(self._model)
        self._model = None

    def sample(
        self,
        given: Sequence[Given],
        sampling: Sampling,
        *,
        seed: int = 0,
        stopped: Callable[[], bool] = lambda: False,
    ) -> list[list[str]]:
        """Return the samples of each turn.

        Args:
            given: Turns.
            sampling: How replies are drawn.
            seed: Of the draws, in a process that has not drawn before.
            stopped: Asked after each token; True ends the sampling early.

        Raises:
            VoiceError: The model cannot be run.
        """
        if not given:
            return []
        prompts = [self._tokens(self.format.prompt(turn)) for turn in given]
        give_way(self._busy)
        with self._busy:
            results = self._draw(prompts, sampling, seed, stopped)
        return [[self.format.decode(ids) for ids in result] for result in results]

    def sample_many(
        self, given: Iterable[Given], sampling: Sampling, *, seed: int = 0, batch: int = 1
    ) -> Iterator[list[str]]:
        """Yield the samples of many turns, in order, for an evaluation.

        Args:
            given: Turns.
            sampling: How replies are drawn.
            seed: Of the draws.
            batch: Turns that are handed over together.

        Raises:
            VoiceError: The model cannot be run.
        """
        waiting = iter(given)
        while some := list(islice(waiting, batch)):
            yield from self.sample(some, sampling, seed=seed)
            seed += 1

    def _tokens(self, ids: Sequence[int]) -> list[str]:
        return [str(self._tokenizer.id_to_token(token)) for token in ids]

    def _draw(
        self,
        prompts: list[list[str]],
        sampling: Sampling,
        seed: int,
        stopped: Callable[[], bool],
    ) -> list[list[list[int]]]:
        import ctranslate2

        parts = min(WORKERS, sampling.samples)
        each = -(-sampling.samples // parts)
        options: dict[str, Any] = {
            "beam_size": 1,
            "num_hypotheses": each,
            "max_batch_size": 1 if parts > 1 else 0,
            "sampling_topk": sampling.top_k,
            "sampling_topp": sampling.top_p,
            "sampling_temperature": sampling.temperature,
            "repetition_penalty": sampling.repetition,
            "end_token": [self.format.end],
            "return_end_token": True,
        }
        patience = Patience(each * parts, parts, stopped)
        options["callback"] = patience
        repeated = [prompt for prompt in prompts for _ in range(parts)]
        budget = self.format.budgets.reply
        try:
            model = self._loaded(seed)
            ctranslate2.set_random_seed(seed)
            if self.format.kind == "causal":
                found = model.generate_batch(
                    repeated, max_length=budget, include_prompt_in_result=False, **options
                )
                drawn = [result.sequences_ids for result in found]
            else:
                found = model.translate_batch(repeated, max_decoding_length=budget, **options)
                drawn = [[self._ids(tokens) for tokens in each.hypotheses] for each in found]
        except (RuntimeError, ValueError) as error:
            raise VoiceError(
                f"the fine-tuned generator cannot speak ({error}): remove "
                f"{self._folder}, or choose the bank as the generator"
            ) from error
        turns = [drawn[start : start + parts] for start in range(0, len(drawn), parts)]
        return [
            self._whole([ids for part in turn for ids in part])[: sampling.samples]
            for turn in turns
        ]

    def _whole(self, samples: list[list[int]]) -> list[list[int]]:
        """Leave out the samples that were given up, if most came to their end."""
        ended = [ids for ids in samples if ids and ids[-1] == self.format.end]
        return ended if 2 * len(ended) >= len(samples) else samples

    def _ids(self, tokens: Sequence[str]) -> list[int]:
        found = (self._tokenizer.token_to_id(token) for token in tokens)
        return [token for token in found if token is not None]

    def _loaded(self, seed: int) -> Any:
        if self._model is None:
            import ctranslate2

            make = ctranslate2.Generator if self.format.kind == "causal" else ctranslate2.Translator
            self._model = make(
                str(self._folder),
                device="cpu",
                compute_type="int8",
                inter_threads=WORKERS,
                intra_threads=1,
            )
            self._seed_apart(seed)
        return self._model

    def _seed_apart(self, seed: int) -> None:
        """Give each of the two workers a source of chance of its own, from the first turn's seed.

        A worker keeps the seed that is set when it first draws. With the same one, both would draw
        the same samples.
        """
        import ctranslate2

        ctranslate2.set_random_seed(~seed & 0xFFFFFFFF)
        begins = [self._tokens(self.format.prompt(Given([], {}, [])))]
        once = {"beam_size": 1, "sampling_topk": 2, "end_token": [self.format.end]}
        if self.format.kind == "causal":
            self._model.generate_batch(begins, max_length=1, **once)
        else:
            self._model.translate_batch(begins, max_decoding_length=1, **once)


_forgotten: list[Any] = []
_engines: dict[Path, Engine] = {}
_engines_lock = threading.RLock()
wait_before_fork(_engines_lock)


def load_engine(
    checkpoint: VoiceCheckpoint, *, notice: Callable[[str], None] = lambda _: None
) -> Engine:
    """Return the process's one engine of a checkpoint; make its quick copy if need be.

    Raises:
        VoiceMissing: The extra `voice` is not installed.
        VoiceError: The checkpoint, its base or the cache is unusable.
    """
    try:
        import ctranslate2  # noqa: F401
        import platformdirs  # noqa: F401
    except ImportError:
        raise VoiceMissing(f"the fine-tuned generator needs its runtime: {INSTALL}") from None
    with _engines_lock:
        folder = copy_folder(checkpoint)
        if folder not in _engines:  # a process checks the copy once
            quick_copy(checkpoint, notice=notice)
            _engines[folder] = Engine(folder, checkpoint.config)
        return _engines[folder]
