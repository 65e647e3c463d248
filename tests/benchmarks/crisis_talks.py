"""Counts what the safety guard notices and asks in whole conversations, for `crisis`."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from langgraph_cooper.graph.training.talks import Talk
from langgraph_cooper.nodes.crisis.course import HINTED_TURNS, Finding, Tier
from langgraph_cooper.nodes.crisis.reading import Readers


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
        finding = (readers.later if feared else readers.first)(text, said[:place])
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
