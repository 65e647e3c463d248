"""Text as the guard reads it: whatever a word is dressed up as, it is the same word.

Everything here takes time that grows with the text's length and no faster.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from langgraph_cooper.prompts import Spelling, spelling

# Letters of other scripts that look like Latin ones, and small capitals, which NFKC leaves alone.
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
SPELLINGS = 16  # readings of one word written with digits that are tried
LONGEST = 400  # letters without a space that are taken apart

TOKEN = re.compile(r"[\w@$!|+*#€£]+")
# Letters set apart: "s u i c i d e", "s.u.i.c.i.d.e", "k-i-l-l  m-y-s-e-l-f".
APART = re.compile(r"(?<![^\W_])(?:[^\W_](?:[\W_]{1,3})){2,}[^\W_](?![^\W_])")
RUN = re.compile(r"(.)\1+")
EDGES = "!|+*#@$€£"


class _Characters(dict[int, str]):
    """What becomes of a character, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if character in APOSTROPHES:
            become = ""
        elif 0x1F1E6 <= code <= 0x1F1FF:  # regional indicators, which spell flags
            become = chr(code - 0x1F1E6 + ord("a"))
        elif 0x1F150 <= code <= 0x1F189:  # white letters on black discs and squares
            become = chr((code - 0x1F150) % 32 % 26 + ord("a"))
        else:
            category = unicodedata.category(character)
            if category in ("Cf", "Mn", "Me", "Cs") or 0xE0000 <= code <= 0xE007F:
                become = ""
            else:
                become = " " if category[0] in "ZC" else LOOK_ALIKES.get(character, character)
        self[code] = become
        return become


_CHARACTERS = _Characters()


def plain(text: str) -> str:
    """The text in small letters without accents, apostrophes and format characters."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    return text.casefold().translate(_CHARACTERS)


def collapsed(word: str) -> str:
    """A word with each run of a letter as one letter: "killll" and "kill" are both "kil".

    A few stay as they are: "off" is not "of", "noose" not "nose".
    """
    return word if word in spelling().distinct else RUN.sub(r"\1", word)


class Folder:
    """Brings text to the words that the patterns are written in.

    Args:
        spelling: Misspellings and what they stand for.
        vocabulary: The patterns' words: what a dressed-up word can turn out to be.
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
        self._near = {near: key for key in spelling.keys for near in _one_off(collapsed(key))}
        self._starred = {pattern: word for word in spelling.starred for pattern in _starred(word)}
        self._word = lru_cache(maxsize=16_384)(self._read_word)

    def words(self, text: str) -> list[str]:
        """The words of a text, each with its runs of letters collapsed."""
        text = APART.sub(lambda found: self._together(found.group()), plain(text))
        tokens = [word for token in TOKEN.findall(text) for word in self._word(token)]
        return list(self._paired(tokens))

    def _together(self, apart: str) -> str:
        """Letters that were set apart, as the words they spell; as they were if they spell none."""
        letters = re.sub(r"[\W_]", "", apart)
        if collapsed(letters) in self._words or letters in self._joined | {"kms", "kys", "ctb"}:
            return letters
        if self._near.get(collapsed(letters)):
            return letters
        found = self._taken_apart(letters, least=3)
        return " ".join(found) if found else apart

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
            split = re.split(r"[^\w]+", bare)
            return tuple(word for part in split if part for word in self._word(part))
        return tuple(self._taken_apart(bare)) or (short,)

    def _readings(self, token: str) -> Iterator[str]:
        """What a word that is no word may stand for: "k1ll", "su*cide", "suicde"."""
        if "*" in token or "#" in token:
            starred = token.strip("!|+@$").replace("#", "*")
            if (word := self._starred.get(starred)) is not None:
                yield collapsed(word)
        if not token.isalpha():
            choices = [LEET.get(character, character) for character in token[:24]]
            for reading in itertools.islice(itertools.product(*choices), SPELLINGS):
                yield collapsed("".join(reading))
            yield from (collapsed("".join(c)) for c in self._stripped(token))
        yield collapsed(token)

    def _stripped(self, token: str) -> Iterator[Sequence[str]]:
        """The same without what stands at its end: "su1c1de!!"."""
        bare = token.strip("!|+*#")
        if bare and bare != token:
            choices = [LEET.get(character, character) for character in bare[:24]]
            yield from itertools.islice(itertools.product(*choices), SPELLINGS)

    def _taken_apart(self, letters: str, least: int = 7) -> list[str]:
        """The words of a text written without spaces; none unless it is a telling one."""
        if not least <= len(letters) <= LONGEST:
            return []
        # best[end]: the fewest words that spell letters[:end], and where the last of them begins.
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

    def _paired(self, tokens: Sequence[str]) -> Iterator[str]:
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


LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _one_off(word: str) -> Iterator[str]:
    """All that one slip makes of a word: a letter lost, added, changed, or two swapped."""
    for i in range(len(word) + 1):
        before, after = word[:i], word[i:]
        yield from (before + letter + after for letter in LETTERS)
        if after:
            yield before + after[1:]
            yield from (before + letter + after[1:] for letter in LETTERS)
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]


def _starred(word: str) -> Iterator[str]:
    """A word with one or two of its inner letters as stars, and with all of them as one."""
    inner = range(1, len(word) - 1) if len(word) > 3 else range(1, len(word))
    for count in (1, 2):
        for places in itertools.combinations(inner, count):
            yield "".join("*" if i in places else letter for i, letter in enumerate(word))
    yield word[0] + "*" * (len(word) - 2) + word[-1]
