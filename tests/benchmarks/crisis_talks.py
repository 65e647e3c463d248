"""Counts what the safety guard notices and asks in whole conversations, for `crisis`."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from langgraph_cooper.graph.training.talks import Talk
from langgraph_cooper.nodes.crisis.course import HINTED_TURNS, Finding, Tier, ToRead
from langgraph_cooper.nodes.crisis.joining import found_in as read_joined
from langgraph_cooper.nodes.crisis.reading import Readers, doubts
from langgraph_cooper.nodes.llm.crisis import llm_crisis_reader, read_finding
from langgraph_cooper.nodes.second_reader import Opinions
from langgraph_cooper.prompts import load_task


def share(count: int, number: int) -> str:
    """Return a share with Wilson's 95 % interval."""
    if not number:
        return "-"
    share, z = count / number, 1.96
    middle = (share + z * z / (2 * number)) / (1 + z * z / number)
    half = z * math.sqrt(share * (1 - share) / number + z * z / (4 * number**2))
    half /= 1 + z * z / number
    return f"{share:.3f} [{max(0.0, middle - half):.3f}, {middle + half:.3f}]"


def found_in(readers: Readers, said: Sequence[str], *, patient: bool) -> list[Finding]:
    """Return what the guard finds in each message; a patient one lets a first faint concern pass.

    The system's replies, and the answers to its questions, count for nothing.
    """
    found, hinted = list[Finding](), 0
    for place, text in enumerate(said):
        feared = any(each.tier != "none" for each in found)
        finding = read_joined(said[:place], [text], readers.later if feared else readers.first)
        passes = patient and finding.faint and not hinted and not feared
        found.append(Finding() if passes else finding)
        hinted = HINTED_TURNS if finding.tier != "none" else max(0, hinted - 1)
    return found


def tiers_of(readers: Readers, said: Sequence[str], *, patient: bool) -> list[Tier]:
    """Return the tier of each message."""
    return [each.tier for each in found_in(readers, said, patient=patient)]


def talks(found: Sequence[Talk], readers: Readers, *, patient: bool) -> None:
    """Count in how many conversations a crisis is noticed, when, and where there is none."""

    def tiers_in(talk: Talk) -> list[Tier]:
        return tiers_of(readers, talk.texts, patient=patient)

    for kind in ["", *sorted({talk.kind for talk in found if talk.kind})]:
        some = [talk for talk in found if talk.kind and kind in ("", talk.kind)]
        tiers = [tiers_in(talk) for talk in some]
        noticed = sum(any(tier != "none" for tier in each) for each in tiers)
        certain = sum("certain" in each for each in tiers)
        calls = [t for talk, each in zip(some, tiers, strict=True)
                 for said, t in zip(talk.said, each, strict=True) if said.mark == "+"]  # fmt: skip
        told = sum(tier != "none" for tier in calls)
        print(
            f"crisis {kind or 'all':10s} {len(some):3d} conversations   noticed "
            f"{share(noticed, len(some))}   certain {share(certain, len(some))}   of messages "
            f"that call for it {share(told, len(calls))} of {len(calls)}"
        )
    crises = [talk for talk in found if talk.kind]
    late = Counter(str(calls_before(tiers_in(talk), talk)) for talk in crises)
    print(f"messages that called for it before one that did was noticed: {sorted(late.items())}")
    for theme in sorted({talk.theme for talk in found if not talk.kind}):
        for tier in ("concern", "certain"):
            harmless = [talk for talk in found if talk.theme == theme]
            fired = [[each == tier for each in tiers_in(talk)] for talk in harmless]
            flat = [each for talk in fired for each in talk]
            told = share(sum(map(any, fired)), len(fired))
            print(
                f"{theme}, no crisis: {tier} in {told} of {len(fired)} conversations, "
                f"{share(sum(flat), len(flat))} of {len(flat)} messages"
            )


def calls_before(tiers: Sequence[Tier], talk: Talk) -> int | None:
    """Return how many messages called for a question before one that did was noticed.

    None: none was noticed. Alarms at other messages do not count: they may be chance.
    """
    pairs = zip(talk.said, tiers, strict=True)
    calls = [tier != "none" for said, tier in pairs if said.mark == "+"]
    return calls.index(True) if True in calls else None


def with_opinions(
    found: Sequence[Talk], first: Readers, file: Path, model: BaseChatModel | None
) -> None:
    """Count what the guard notices without a second reader's findings in context, and with them.

    Args:
        found: The conversations; counted are those that the second reader read wholly.
        first: The guard's own readers.
        file: The findings: the writer, the number of the conversation among the writer's, that of
            the message, and a tier, perhaps with a kind.
        model: Asked for those that the file lacks, which are added to it. None: nothing is.
    """
    known = _opinions_of(file)
    if model:
        _ask(found, first, llm_crisis_reader(load_task("esc"), model), file, known)
    whole = [
        talk
        for talk, name in zip(found, _names(found), strict=True)
        if model or all((*name, place) in known for place in _put_to_it(talk))
    ]
    print(f"{len(whole)} of {len(found)} conversations\n\nwithout the second reader")
    talks(whole, first, patient=False)
    names = zip(found, _names(found), strict=True)
    opinions = Opinions(
        {
            ToRead.after(talk.texts[: place - 1], talk.texts[place - 1]).digest: known[*name, place]
            for talk, name in names
            for place in _put_to_it(talk)
            if (*name, place) in known
        }
    )
    print("\nwith it")
    talks(whole, Readers(opinions.over(first.first), opinions.over(first.later)), patient=False)


def _put_to_it(talk: Talk) -> list[int]:
    """Return the numbers of the messages that the guard would put to a second reader."""
    texts = talk.texts
    return [n for n, text in enumerate(texts, start=1) if doubts(text, texts[: n - 1])]


def _names(found: Sequence[Talk]) -> list[tuple[str, int]]:
    """Return the writer of each conversation and its number among the writer's."""
    numbers = Counter[str]()
    names = []
    for talk in found:
        numbers[talk.writer] += 1
        names.append((talk.writer, numbers[talk.writer]))
    return names


def _opinions_of(file: Path) -> dict[tuple[str, int, int], Finding]:
    rows = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    found = {}
    for row in rows:
        writer, talk, place, finding = row.split("\t")
        found[writer, int(talk), int(place)] = read_finding(finding)
    return found


def _ask(
    found: Sequence[Talk],
    first: Readers,
    reader: Runnable[ToRead, Finding],
    file: Path,
    known: dict[tuple[str, int, int], Finding],
) -> None:
    """Ask about the messages that the guard would put to the model; write what it says at once."""
    with file.open("a", encoding="utf-8") as out:
        for talk, name in zip(found, _names(found), strict=True):
            for place, text in enumerate(talk.texts, start=1):
                before = talk.texts[: place - 1]
                if (*name, place) in known or not doubts(text, before):
                    continue
                finding = known[*name, place] = reader.invoke(ToRead.after(before, text))
                told = " ".join(filter(None, finding[:2]))
                out.write(f"{name[0]}\t{name[1]}\t{place}\t{told}\n")
                out.flush()
                print(f"\r{len(known)} known", end="", file=sys.stderr)


def seekers(file: Path, show: bool, readers: Readers, *, patient: bool) -> None:
    """Count the tiers of the seekers' messages of ESConv."""
    lines = file.read_text(encoding="utf-8").splitlines()
    dialogues = [
        [turn["text"] for turn in json.loads(line)["dialog"] if turn["speaker"] == "usr"]
        for line in lines
    ]
    conversations(file.name, dialogues, show, readers, patient=patient)


def conversations(
    name: str,
    dialogues: Sequence[Sequence[str]],
    show: bool,
    readers: Readers,
    *,
    patient: bool = False,
) -> None:
    """Count the tiers of what people said in conversations."""
    found = [
        list(zip(found_in(readers, texts, patient=patient), texts, strict=True))
        for texts in dialogues
    ]
    flat = [each for dialogue in found for each in dialogue]
    for tier in ("certain", "concern"):
        hits = [each for each in flat if each[0].tier == tier]
        touched = sum(any(f.tier == tier for f, _ in dialogue) for dialogue in found)
        print(
            f"{name}: {len(flat)} messages, {tier} {len(hits)}, {share(len(hits), len(flat))} "
            f"{dict(Counter(f.kind for f, _ in hits))}; {touched} of {len(found)} conversations"
        )
        for finding, text in hits if show else ():
            print(f"  {finding.tier} {finding.kind}: {text}")
