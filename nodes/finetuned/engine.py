"""Samples replies from a generator's quick copy, by CTranslate2."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from langgraph_cooper.nodes.finetuned.cache import TOKENIZER, quick_copy
from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint, VoiceConfig
from langgraph_cooper.nodes.finetuned.errors import VoiceError, VoiceMissing
from langgraph_cooper.nodes.finetuned.format import Format, Given
from langgraph_cooper.ranker.model.forking import give_way, renew_after_fork, wait_before_fork


class Sampling(BaseModel):
    """How replies are drawn.

    Attributes:
        samples: Number of replies to choose from.
        temperature: Below 1 the likely tokens become likelier.
        top_p: Tokens are drawn from the likeliest that have this probability together.
        repetition: Penalty of tokens that the text has already.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: int = Field(default=8, ge=1, le=64)
    temperature: float = Field(default=0.8, gt=0)
    top_p: float = Field(default=0.9, gt=0, le=1)
    repetition: float = Field(default=1.0, ge=1)


class Engine:
    """A generator that samples replies; several threads may use it.

    In a forked child the threads of CTranslate2 do not exist: the child loads the copy again when
    it first speaks.

    Args:
        folder: The quick copy.
        config: The checkpoint's configuration.
        threads: Of one sampling; 0: as many as CTranslate2 chooses.
    """

    def __init__(self, folder: Path, config: VoiceConfig, *, threads: int = 0) -> None:
        from tokenizers import Tokenizer

        self._folder = folder
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self.format = Format(self._tokenizer, config.kind, config.budgets)
        self._threads = threads
        self._model: Any = None
        self._busy = threading.Lock()
        wait_before_fork(self._busy)
        renew_after_fork(self)

    def forked(self) -> None:
        """Forget the model in a child."""
        # Its destructor would wait for threads that the child does not have.
        _forgotten.append(self._model)
        self._model = None
        self._threads = 1

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
            given: Turns; they are computed in one batch.
            sampling: How replies are drawn.
            seed: Of the draws.
            stopped: Asked after each token; True ends the sampling early.

        Raises:
            VoiceError: The model cannot be run.
        """
        if not given:
            return []
        prompts = [self._tokens(self.format.prompt(turn)) for turn in given]
        give_way()
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
            batch: Turns that are computed together. CTranslate2 reads a batch's prompts at once
                only as far as the shortest goes, and the rest token by token: turns of different
                lengths are quicker one by one, each with all its samples.

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

        ctranslate2.set_random_seed(seed)
        options: dict[str, Any] = {
            "beam_size": 1,
            "num_hypotheses": sampling.samples,
            "sampling_topk": 0,
            "sampling_topp": sampling.top_p,
            "sampling_temperature": sampling.temperature,
            "repetition_penalty": sampling.repetition,
            "end_token": [self.format.end],
        }
        budget = self.format.budgets.reply
        try:
            model = self._loaded()
            if self.format.kind == "causal":
                found = model.generate_batch(
                    prompts,
                    max_length=budget,
                    include_prompt_in_result=False,
                    callback=lambda _: stopped(),
                    **options,
                )
                return [result.sequences_ids for result in found]
            found = model.translate_batch(
                prompts, max_decoding_length=budget, callback=lambda _: stopped(), **options
            )
        except (RuntimeError, ValueError) as error:
            raise VoiceError(
                f"the fine-tuned generator cannot speak ({error}): remove "
                f"{self._folder}, or choose the bank as the generator"
            ) from error
        return [[self._ids(tokens) for tokens in result.hypotheses] for result in found]

    def _ids(self, tokens: Sequence[str]) -> list[int]:
        found = (self._tokenizer.token_to_id(token) for token in tokens)
        return [token for token in found if token is not None]

    def _loaded(self) -> Any:
        if self._model is None:
            import ctranslate2

            make = ctranslate2.Generator if self.format.kind == "causal" else ctranslate2.Translator
            self._model = make(
                str(self._folder),
                device="cpu",
                compute_type="int8",
                inter_threads=1,
                intra_threads=self._threads,
            )
        return self._model


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
        raise VoiceMissing(
            'the fine-tuned generator needs the extra: pip install "langgraph-cooper[voice]"'
        ) from None
    with _engines_lock:
        folder = quick_copy(checkpoint, notice=notice)
        if folder not in _engines:
            _engines[folder] = Engine(folder, checkpoint.config)
        return _engines[folder]
