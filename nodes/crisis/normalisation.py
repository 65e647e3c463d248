"""Normalises text for the guard: undoes misspellings and disguises such as "k1ll" or "s u i c".

Every step takes time linear in the length of the text.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from langgraph_cooper.nodes.crisis.lexicon import Spelling, spelling
from langgraph_cooper.nodes.language.spelling import one_edit

# Letters of other scripts that look like Latin ones, and small capitals: NFKD keeps both.
LOOK_ALIKES = dict(
    zip(
        "авеёкмнорстухіјѕһԁԛԝɡαβεικνορτυχωᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢıłøđ",
        "abeekmhopctyxijshdqwgabeiknoptuxwabcdefghijklmnoprstuvwyzilod",
        strict=True,
    )
)
APOSTROPHES = "'’‘‛`´ʼʻ′＇"  # noqa: RUF001
LEET = {"0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g",
        "@": "a", "$": "s", "!": "i", "|": "li", "+": "t", "€": "e", "£": "l"}  # fmt: skip
MAX_READINGS = 16  # of one word with digits
MAX_JOINED = 400  # letters without a space; longer runs are not split into words
MAX_KNOWN = 16_384  # characters whose translations are kept
MAX_CACHED = 64  # letters of a word whose reading is kept

TOKEN = re.compile(r"[\w@$!|+*#€£]+")
# Spaced letters: "s u i c i d e", "s.u.i.c.i.d.e", "k-i-l-l  m-y-s-e-l-f".
SPACED = re.compile(r"(?<![^\W_])(?:[^\W_](?:[\W_]{1,3})){2,}[^\W_](?![^\W_])")
RUN = re.compile(r"(.)\1+")
EDGES = "!|+*#@$€£"


class _Characters(dict[int, str]):
    """Translation table for `str.translate`; an entry is made when a character first occurs."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if character in APOSTROPHES:
            become = ""
        elif 0x1F1E6 <= code <= 0x1F1FF:  # regional indicators, which spell flags
            become = chr(code - 0x1F1E6 + ord("a"))
        elif 0x1F150 <= code <= 0x1F189:  # white on black discs and squares
            become = chr((code - 0x1F150) % 32 % 26 + ord("a"))
        else:
            category = unicodedata.category(character)
            if category in ("Cf", "Mn", "Me", "Cs") or 0xE0000 <= code <= 0xE007F:
                become = ""
            else:
                become = " " if category[0] in "ZC" else LOOK_ALIKES.get(character, character)
        if len(self) >= MAX_KNOWN:
            self.clear()
        self[code] = become
        return become


_CHARACTERS = _Characters()


def plain(text: str) -> str:
    """Return the text in lower case without accents, apostrophes and format characters."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    return text.casefold().translate(_CHARACTERS)


def collapsed(word: str) -> str:
    """Collapse each run of a letter to one letter: "killll" and "kill" both become "kil".

    A few words are kept: "off" is not "of", "noose" is not "nose".
    """
    return word if word in spelling().distinct else RUN.sub(r"\1", word)


class Normaliser:
    """Maps the words of a text to the words of the patterns.

    Args:
        spelling: Misspellings and the words that they stand for.
        vocabulary: The patterns' words, which a disguised word is compared with.
    """

    def __init__(self, spelling: Spelling, vocabulary: Iterable[str]) -> None:
        self._words = {collapsed(word): become for word, become in spelling.words.items()}
        self._pairs = {
            tuple(collapsed(word) for word in pair.split()): become
            for pair, become in spelling.pairs.items()
        }
        self._vocabulary = frozenset(vocabulary) | set(spelling.keys) | {"i", "a"}
        self._known = frozenset(collapsed(word) for word in self._vocabulary)
        self._longest = max(map(len, self._vocabulary))
        self._joined = frozenset(spelling.joined)
        self._keys = frozenset(collapsed(key) for key in spelling.keys)
        self._near = {near: key for key in spelling.keys for near in one_edit(collapsed(key))}
        self._starred = {pattern: word for word in spelling.starred for pattern in _starred(word)}
        self._cached = lru_cache(maxsize=16_384)(self._read_word)

    def words(self, text: str) -> list[str]:
        """Return the normalised words of a text, each with its runs of letters collapsed."""
        text = SPACED.sub(lambda found: self._join(found.group()), plain(text))
        tokens = [word for token in TOKEN.findall(text) for word in self._word(token)]
        return list(self._merge_pairs(tokens))

    def _join(self, spaced: str) -> str:
        """Join spaced letters to the words that they spell; return them as they are if none."""
        letters = re.sub(r"[\W_]", "", spaced)
        if collapsed(letters) in self._words or letters in self._joined | {"kms", "kys", "ctb"}:
            return letters
        if self._near.get(collapsed(letters)):
            return letters
        found = self._split(letters, least=3)
        return " ".join(found) if found else spaced

    def _word(self, token: str) -> tuple[str, ...]:
        return self._cached(token) if len(token) <= MAX_CACHED else self._read_word(token)

    def _read_word(self, token: str) -> tuple[str, ...]:
        parts = [part for part in token.split("_") if part]
        if len(parts) != 1:
            return tuple(word for part in parts for word in self._word(part))
        token = parts[0]
        bare = token.strip(EDGES)
        short = collapsed(bare)
        if (become := self._words.get(short)) is not None:
            return tuple(collapsed(word) for word in become.split())
        if short in self._known:
            return (short,)
        for reading in self._readings(token):
            if reading in self._known:
                return (reading,)
            if reading in self._words:
                return tuple(collapsed(word) for word in self._words[reading].split())
            if reading in self._near:
                return (collapsed(self._near[reading]),)
        if not bare.isalnum():
            parts = re.split(r"[^\w]+", bare)
            return tuple(word for part in parts if part for word in self._word(part))
        return tuple(self._split(bare)) or (short,)

    def _readings(self, token: str) -> Iterator[str]:
        """Yield the possible readings of a disguised word: "k1ll", "su*cide", "suicde"."""
        if "*" in token or "#" in token:
            starred = token.strip("!|+@$").replace("#", "*")
            if (word := self._starred.get(starred)) is not None:
                yield collapsed(word)
        if not token.isalpha():
            yield from _without_leet(token)
            bare = token.strip("!|+*#")
            if bare and bare != token:  # "su1c1de!!"
                yield from _without_leet(bare)
        yield collapsed(token)

    def _split(self, letters: str, least: int = 7) -> list[str]:
        """Split letters without spaces into words; empty unless one of them marks a crisis."""
        if not least <= len(letters) <= MAX_JOINED:
            return []
        # best[end]: the fewest words that spell letters[:end], and the begin of the last of them.
        best: dict[int, tuple[int, int]] = {0: (0, 0)}
        for end in range(1, len(letters) + 1):
            for begin in range(max(0, end - self._longest), end):
                if begin in best and letters[begin:end] in self._vocabulary:
                    count = best[begin][0] + 1
                    if end not in best or count < best[end][0]:
                        best[end] = (count, begin)
        if len(letters) not in best:
            return []
        found: list[str] = []
        end = len(letters)
        while end:
            begin = best[end][1]
            found.append(letters[begin:end])
            end = begin
        if not self._joined.intersection(found):
            return []
        return [collapsed(word) for word in reversed(found)]

    def _merge_pairs(self, tokens: Sequence[str]) -> Iterator[str]:
        """Replace the pairs of words that stand for another, and join a key word split in two."""
        place = 0
        while place < len(tokens):
            here, after = tokens[place], tokens[place + 1] if place + 1 < len(tokens) else ""
            if (become := self._pairs.get((here, after))) is not None:
                yield from map(collapsed, become.split())
                place += 2
            elif here not in self._keys and collapsed(here + after) in self._keys and after:
                yield collapsed(here + after)
                place += 2
            else:
                yield here
                place += 1


def _without_leet(token: str) -> Iterator[str]:
    """Yield the words that a token with digits or signs for letters may spell."""
    choices = [LEET.get(character, character) for character in token[:24]]
    readings = itertools.islice(itertools.product(*choices), MAX_READINGS)
    return (collapsed("".join(reading)) for reading in readings)


def _starred(word: str) -> Iterator[str]:
    """Yield a word with one, two or all of its inner letters as stars."""
    inner = range(1, len(word) - 1) if len(word) > 3 else range(1, len(word))
    for count in (1, 2):
        for places in itertools.combinations(inner, count):
            yield "".join("*" if i in places else letter for i, letter in enumerate(word))
    yield word[0] + "*" * (len(word) - 2) + word[-1]
