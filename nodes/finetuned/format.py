"""What the fine-tuned generator reads: history, states of all aspects and topics, as token ids.

Training and inference both build their input here, so that a model meets in use what it was
trained on. Each part has a token budget of its own; of the history the oldest goes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from langgraph_cooper.ranker.data.dialogue import Utterance, encodable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Kind = Literal["causal", "seq2seq"]
"""A decoder alone, such as SmolLM2, or an encoder with a decoder, such as BART."""

MAX_CHARACTERS = 8_000
"""Characters that are read of a text: a message holds no more."""

_OPEN, _CLOSE = "<|im_start|>", "<|im_end|>"
_ENDS = (_CLOSE, "</s>", "<|endoftext|>", "<|end_of_text|>", "[SEP]")
_ROLES = {"user": "user", "system": "assistant"}


class FormatError(ValueError):
    """A tokenizer lacks a token that the format needs."""


class Budgets(BaseModel):
    """Most tokens of each part. A checkpoint is used with those that it was trained with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    history: int = Field(default=512, ge=16)
    states: int = Field(default=32, ge=0)
    topics: int = Field(default=48, ge=0)
    reply: int = Field(default=80, ge=4)


class TopicLine(NamedTuple):
    """A topic with its strategy, as the generator reads it."""

    strategy: str
    topic: str


class Given(NamedTuple):
    """What a reply depends on.

    Attributes:
        history: The utterances so far, oldest first.
        states: The state summary of each aspect.
        topics: The top-K topics, best first.
    """

    history: Sequence[Utterance]
    states: Mapping[str, str]
    topics: Sequence[TopicLine]


class Format:
    """Renders what a reply depends on as token ids.

    A causal base reads `[history; states; topics; reply]`: states and topics stand directly before
    the reply. A seq2seq base reads `[topics; states; history]` and writes the reply.

    Args:
        tokenizer: The base's tokenizer; a copy of it reads marks in people's words as plain text.
        kind: The kind of base.
        budgets: Most tokens of each part.

    Raises:
        FormatError: The tokenizer has no token that ends a text.
    """

    def __init__(self, tokenizer: Tokenizer, kind: Kind, budgets: Budgets) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True
        self.kind: Kind = kind
        self.budgets = budgets
        found = (self._tokenizer.token_to_id(end) for end in _ENDS)
        self.end = next((token for token in found if token is not None), -1)
        if self.end < 0:
            raise FormatError(f"its tokenizer has none of the tokens {', '.join(_ENDS)}")
        opens = self._tokenizer.token_to_id(_OPEN)
        self._open = [] if opens is None else [opens]
        self._begin = self._tokenizer.token_to_id("<s>")

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without any mark."""
        text = encodable(text[:MAX_CHARACTERS])
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of a reply's ids, up to its end."""
        ids = list(ids)
        if self.end in ids:
            ids = ids[: ids.index(self.end)]
        return " ".join(self._tokenizer.decode(ids, skip_special_tokens=True).split())

    def history(self, history: Sequence[Utterance]) -> list[list[int]]:
        """Return the ids of each utterance, with its marks."""
        room = self.budgets.history
        return [
            self._header(_ROLES[said.speaker]) + self._cut(said.text, room - 8) + self._footer()
            for said in history
        ]

    def starts(self, lengths: Sequence[int]) -> list[int]:
        """Return the first utterance of the window before each position.

        Once a history outgrows its budget, its oldest utterances go until half of the budget is
        left. So the window moves seldom, and a whole conversation is few sequences in training.

        Args:
            lengths: [N] tokens of each utterance.

        Returns:
            [N + 1], the window before utterance t being `starts[t]:t`.
        """
        starts, first, size = [0], 0, 0
        for place, length in enumerate(lengths):
            size += length
            if size > self.budgets.history:
                while first < place and size > self.budgets.history // 2:
                    size -= lengths[first]
                    first += 1
            starts.append(first)
        return starts

    def window(self, history: Sequence[Utterance]) -> list[int]:
        """Return the ids of the newest part of a history that fits its budget."""
        rendered = self.history(history)
        first = self.starts([len(ids) for ids in rendered])[-1]
        return [token for ids in rendered[first:] for token in ids]

    def guidance(self, states: Mapping[str, str], topics: Sequence[TopicLine]) -> list[int]:
        """Return the ids of states and topics, with the mark after which a reply begins.

        What several aspects' states quote stands once, in the first of them.
        """
        ids = self._header("system")
        lines = _distinct_lines(states)
        for number, (aspect, text) in enumerate(lines):
            share = self.budgets.states // len(lines)
            ids += self._cut(f"{'; ' if number else ''}{aspect}: {text}", share)
        ids += self.encode("\n")
        room = self.budgets.topics
        for number, topic in enumerate(topics):
            share = room // (len(topics) - number)
            line = self._cut(f"{topic.strategy}: {topic.topic}", share - 1) + self.encode("\n")
            room -= len(line)
            ids += line
        return ids + self._footer() + self._header(_ROLES["system"])

    @property
    def around(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids before and after a seq2seq base's source; none for a causal base."""
        if self.kind == "causal":
            return (), ()
        return (() if self._begin is None else (self._begin,)), (self.end,)

    def prompt(self, given: Given) -> list[int]:
        """Return the ids before a reply: a causal base's prompt, a seq2seq base's source."""
        guidance = self.guidance(given.states, given.topics)
        if self.kind == "causal":
            return self.window(given.history) + guidance
        begins, ends = self.around
        return [*begins, *guidance, *self.window(given.history), *ends]

    def reply(self, text: str) -> list[int]:
        """Return the ids of a reply with its end."""
        return [*self._cut(text, self.budgets.reply - 1), self.end]

    def _cut(self, text: str, most: int) -> list[int]:
        return self.encode(text)[: max(most, 0)]

    def _header(self, role: str) -> list[int]:
        return self._open + self.encode(f"{role}\n" if self._open else f"{role}:")

    def _footer(self) -> list[int]:
        return ([self.end] if self._open else []) + self.encode("\n")


def _distinct_lines(states: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return each aspect's own lines, without those of an aspect before it."""
    seen: set[str] = set()
    found = []
    for aspect, state in states.items():
        lines = [line.strip() for line in state.splitlines()]
        own = [line for line in lines if line and line not in seen]
        seen.update(own)
        if own:
            found.append((aspect, " ".join(own)))
    return found
