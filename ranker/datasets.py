"""Loading labelled dialogues: ESConv, Persuasion for Good (P4G), and a user's own.

Forms that `read_dialogues` tells apart:

* ESConv as JSONL (`{"dialog": [{"speaker": "usr" | "sys", "text", "strategy"}]}` a line) or as the
  JSON list of its first release (`seeker` / `supporter`, `content`, `annotation.strategy`);
* P4G `full_dialog.csv`, without strategies, and `300_dialog.xlsx`, with one per sentence;
* P4G annotated by an LLM: a JSON list whose persuader turns carry states and topic candidates;
* a user's own JSONL, `{"id", "utterances": [{"speaker", "text", "strategies"}]}` with the speakers
  "user" and "system", or the annotated form of `langgraph_cooper.ranker.annotated`.

Consecutive turns of one speaker become one utterance: the texts joined with a space, the strategies
kept in order. Nothing is dropped in silence: a `LoadReport` counts what the task has no use for.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from langgraph_cooper.prompts.task import PASSIVE, TaskSpec
from langgraph_cooper.ranker.annotated import (
    AnnotatedDialogue,
    DataError,
    Dialogue,
    LabelledUtterance,
    check,
    read_json_lines,
    read_records,
    read_text,
)

__all__ = [
    "PUBLIC_HOMES",
    "DataError",
    "Dialogue",
    "LabelledUtterance",
    "LoadReport",
    "Loaded",
    "Statistics",
    "fetch",
    "load_dialogues",
    "read_dialogues",
    "split_dialogues",
    "statistics",
]

_ESCONV = "https://huggingface.co/datasets/thu-coai/esconv/resolve/main"
_P4G = "https://gitlab.com/ucdavisnlp/persuasionforgood/-/raw/master/data"
PUBLIC_HOMES: Mapping[str, Mapping[str, str]] = {
    "esconv": {f"{part}.txt": f"{_ESCONV}/{part}.txt" for part in ("train", "valid", "test")},
    "p4g": {
        "300_dialog.xlsx": f"{_P4G}/AnnotatedData/300_dialog.xlsx",
        "full_dialog.csv": f"{_P4G}/FullData/full_dialog.csv",
    },
}
"""Where the data sets' authors keep their files: data set -> file name -> URL."""

_SPEAKERS = {"usr": "user", "seeker": "user", "sys": "system", "supporter": "system"}
_P4G_SPEAKERS = {"0": "system", "1": "user", "Persuader": "system", "Persuadee": "user"}
_P4G_ASPECTS = {
    "inquiry": "attention",
    "appeal": "appeal",
    "proposition": "proposition",
    "passive_response": PASSIVE,
}
_P4G_STATES = {
    "inquiry_state": "attention",
    "appeal_state": "appeal",
    "proposition_state": "proposition",
}


class _Turn(NamedTuple):
    """One turn as a data set's file has it, before merging."""

    speaker: str
    text: str
    strategies: tuple[str, ...] = ()


@dataclass
class LoadReport:
    """What a file held, and what of it the task has no use for.

    Attributes:
        path: The file.
        form: Which form it was taken for.
        dialogues: Dialogues read.
        utterances: Utterances after merging.
        system_utterances: Those of the system.
        unlabelled: System utterances none of whose strategies the task knows (or without any).
        unknown_strategies: Strategies that the task maps to no aspect, with their counts.
        empty_turns: Turns without text, which were left out.
        without_system: Dialogues in which the system says nothing; kept, of no use for training.
    """

    path: str
    form: str
    dialogues: int = 0
    utterances: int = 0
    system_utterances: int = 0
    unlabelled: int = 0
    unknown_strategies: Counter[str] = field(default_factory=Counter)
    empty_turns: int = 0
    without_system: int = 0

    def sentence(self) -> str:
        """The report in one sentence, for people."""
        text = (
            f"{self.path} ({self.form}): {self.dialogues} dialogues, "
            f"{self.utterances} utterances, {self.unlabelled} of {self.system_utterances} "
            "system utterances without a known strategy"
        )
        if self.unknown_strategies:
            names = ", ".join(f"{n} ({c})" for n, c in self.unknown_strategies.most_common())
            text += f"; strategies unknown to the task: {names}"
        if self.empty_turns:
            text += f"; {self.empty_turns} empty turns left out"
        if self.without_system:
            text += f"; {self.without_system} dialogues without a system utterance"
        return text + "."


class Loaded(NamedTuple):
    """Dialogues of one file, and what the loader has to say about it."""

    dialogues: list[Dialogue]
    report: LoadReport


def load_dialogues(path: str | Path, task: TaskSpec) -> list[Dialogue]:
    """The dialogues of a file in any known form; `read_dialogues` also gives the report."""
    return read_dialogues(path, task).dialogues


def read_dialogues(path: str | Path, task: TaskSpec) -> Loaded:
    """Reads the dialogues of a file in any known form (see the module).

    Args:
        path: The file.
        task: Whose strategies the file's are compared with.

    Raises:
        DataError: The file cannot be read, has no known form, a malformed line (named), no
            dialogues, or no system utterance at all.
    """
    path = Path(path)
    form = _detect(path)
    report = LoadReport(path=str(path), form=form)
    dialogues = list(_READERS[form](path, report))
    if not dialogues:
        raise DataError(f"{path} holds no dialogues")
    for dialogue in dialogues:
        _count(dialogue, task, report)
    if not report.system_utterances:
        raise DataError(
            f"{path}: the system says nothing in any of its {len(dialogues)} dialogues; "
            "a ranker learns from system utterances"
        )
    return Loaded(dialogues, report)


def _detect(path: Path) -> str:
    """The name of the file's form, by its ending and its first object."""
    ending = path.suffix.lower()
    if ending in {".xlsx", ".csv"}:
        return {".xlsx": "P4G annotated sheet", ".csv": "P4G full"}[ending]
    text = read_text(path)
    if text.lstrip().startswith("["):
        speakers = {turn.get("speaker") for item in _json_list(path)[:5] for turn in _turns(item)}
        if speakers & {"Persuader", "Persuadee"}:
            return "P4G with candidates"
        if speakers & {"seeker", "supporter"}:
            return "ESConv list"
    else:
        first = next((fields for _, fields in read_json_lines(path)), {})
        if "utterances" in first:
            return "annotated JSONL" if "turns" in first else "labelled JSONL"
        if "dialog" in first:
            return "ESConv lines"
    raise DataError(
        f"{path} has no form that is known here: ESConv (JSONL or ESConv.json), P4G (csv, xlsx or "
        'annotated JSON), or JSONL with "id" and "utterances" are expected'
    )


def _turns(item: object) -> list[dict[str, Any]]:
    """The turns of one conversation of a JSON file, or nothing where it has another shape."""
    turns = item.get("dialog") if isinstance(item, dict) else None
    return [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []


def _json_list(path: Path) -> list[Any]:
    try:
        items = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from None
    return list(items)


def _read_esconv_lines(path: Path, report: LoadReport) -> Iterator[Dialogue]:
    for line, fields in read_json_lines(path):
        place = f"{path}, line {line}"
        turns = _esconv_turns(fields, place)
        yield _merge(f"{path.stem}-{line}", turns, report, place)


def _read_esconv_list(path: Path, report: LoadReport) -> Iterator[Dialogue]:
    for number, fields in enumerate(_json_list(path), start=1):
        place = f"{path}, dialogue {number}"
        yield _merge(f"{path.stem}-{number}", _esconv_turns(fields, place), report, place)


def _esconv_turns(fields: object, place: str) -> Iterator[_Turn]:
    turns = fields.get("dialog") if isinstance(fields, dict) else None
    if not isinstance(turns, list) or not turns:
        raise DataError(f'{place}: a list "dialog" with turns is expected')
    for number, turn in enumerate(turns, start=1):
        try:
            speaker = _SPEAKERS[turn["speaker"]]
            text = turn["text"] if "text" in turn else turn["content"]
            annotation = turn.get("annotation") or {}
            strategy = turn.get("strategy", annotation.get("strategy"))
            yield _Turn(speaker, text.strip(), (strategy,) if strategy else ())
        except (KeyError, TypeError, AttributeError):
            raise DataError(
                f"{place}: turn {number} needs a speaker (usr or sys) and a text"
            ) from None


def _read_p4g_csv(path: Path, report: LoadReport) -> Iterator[Dialogue]:
    reader = csv.DictReader(io.StringIO(read_text(path)))
    missing = {"Unit", "B4", "B2"} - set(reader.fieldnames or ())
    if missing:
        raise DataError(f"{path}, line 1: the column {sorted(missing)[0]!r} is missing")
    rows = ((reader.line_num, row) for row in reader)
    yield from _p4g_rows(path, rows, report)


def _read_p4g_sheet(path: Path, report: LoadReport) -> Iterator[Dialogue]:
    yield from _p4g_rows(path, _sheet_rows(path), report)


def _sheet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of the first sheet, by column name, each with its number in the sheet."""
    try:
        import openpyxl
    except ImportError:
        raise DataError(
            f"{path} is a spreadsheet: install the extra langgraph-cooper[train] to read it"
        ) from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (OSError, zipfile.BadZipFile, KeyError, openpyxl.utils.exceptions.InvalidFileException):
        raise DataError(f"{path} cannot be read as a spreadsheet (xlsx)") from None
    try:
        rows = book.worksheets[0].iter_rows(values_only=True)
        names = [str(name) for name in next(rows, ())]
        missing = {"Unit", "B4", "B2", "er_label_1"} - set(names)
        if missing:
            raise DataError(f"{path}, line 1: the column {sorted(missing)[0]!r} is missing")
        for line, row in enumerate(rows, start=2):
            if any(cell is not None for cell in row):
                yield line, dict(zip(names, row, strict=False))
    finally:
        book.close()


def _p4g_rows(
    path: Path, rows: Iterable[tuple[int, Mapping[str, Any]]], report: LoadReport
) -> Iterator[Dialogue]:
    """Groups sentences by conversation (B2); B4 says who speaks, er_label_1 the strategy."""
    conversations: dict[str, list[_Turn]] = {}
    for line, row in rows:
        speaker = _P4G_SPEAKERS.get(str(row["B4"]))
        if speaker is None or not row["B2"]:
            raise DataError(
                f"{path}, line {line}: B4 must be 0 (persuader) or 1 (persuadee) and B2 name the "
                f"conversation, not {row['B4']!r} and {row['B2']!r}"
            )
        label = row.get("er_label_1") if speaker == "system" else None
        text = "" if row["Unit"] is None else str(row["Unit"]).strip()
        turn = _Turn(speaker, text, (str(label),) if label else ())
        conversations.setdefault(str(row["B2"]), []).append(turn)
    for name, turns in conversations.items():
        yield _merge(name, turns, report, f"{path}, conversation {name}")


def _read_p4g_candidates(path: Path, report: LoadReport) -> Iterator[Dialogue]:
    for number, item in enumerate(_json_list(path), start=1):
        place = f"{path}, dialogue {number}"
        turns: list[_Turn] = []
        annotations: dict[int, dict[str, Any]] = {}
        for turn in _turns(item):
            try:
                speaker = _P4G_SPEAKERS[turn["speaker"]]
                # The annotators' turns of one speaker do not follow one another, but where they
                # would, the annotation belongs to the merged utterance that starts here.
                if turn.get("states"):
                    annotations.setdefault(_merged_position(turns, speaker), turn["states"])
                turns.append(
                    _Turn(speaker, turn["text"].strip(), tuple(turn.get("strategy") or ()))
                )
            except (KeyError, TypeError, AttributeError):
                raise DataError(
                    f"{place}: turn {len(turns) + 1} needs a speaker (Persuader or Persuadee) and "
                    "a text"
                ) from None
        name = str(item["index"]) if isinstance(item, dict) and "index" in item else str(number)
        dialogue = _merge(name, turns, report, place)
        yield _with_annotation(dialogue, annotations, place)


def _merged_position(turns: Sequence[_Turn], speaker: str) -> int:
    """The position, after merging, of a turn that `speaker` adds to `turns`."""
    changes = sum(a.speaker != b.speaker for a, b in pairwise(turns))
    return changes + (turns[-1].speaker != speaker) if turns else 0


def _with_annotation(
    dialogue: Dialogue, annotations: Mapping[int, Mapping[str, Any]], place: str
) -> AnnotatedDialogue:
    """Adds an LLM's states and candidates, in this project's aspect names.

    The last annotated turn's states stand for the final ones: the data has none after the end.
    """
    turns = []
    for index, annotation in sorted(annotations.items()):
        try:
            states = {aspect: annotation[key] for key, aspect in _P4G_STATES.items()}
            candidates = [
                {
                    "aspect": _P4G_ASPECTS[entry["subgoal"]],
                    "strategy": entry["strategy"],
                    "topic": entry["topic"].strip().strip('"').strip(),
                }
                for entry in annotation["topic_candidates"]
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{place}: the annotation of utterance {index} lacks {error}") from None
        turns.append({"index": index, "states": states, "candidates": candidates})
    fields = dialogue.model_dump()
    fields |= {"turns": turns, "final_states": turns[-1]["states"] if turns else {}}
    return check(AnnotatedDialogue, fields, place)


def _read_labelled(path: Path, _report: LoadReport) -> Iterator[Dialogue]:
    yield from read_records(path, Dialogue)


def _read_annotated(path: Path, _report: LoadReport) -> Iterator[Dialogue]:
    yield from read_records(path, AnnotatedDialogue)


_READERS = {
    "ESConv lines": _read_esconv_lines,
    "ESConv list": _read_esconv_list,
    "P4G full": _read_p4g_csv,
    "P4G annotated sheet": _read_p4g_sheet,
    "P4G with candidates": _read_p4g_candidates,
    "labelled JSONL": _read_labelled,
    "annotated JSONL": _read_annotated,
}


def _merge(name: str, turns: Iterable[_Turn], report: LoadReport, place: str) -> Dialogue:
    """One dialogue whose speakers take turns."""
    merged: list[_Turn] = []
    for turn in turns:
        if not turn.text:
            report.empty_turns += 1
        elif merged and merged[-1].speaker == turn.speaker:
            last = merged.pop()
            merged.append(
                _Turn(
                    turn.speaker, f"{last.text} {turn.text}", (*last.strategies, *turn.strategies)
                )
            )
        else:
            merged.append(turn)
    return check(Dialogue, {"id": name, "utterances": [turn._asdict() for turn in merged]}, place)


def _count(dialogue: Dialogue, task: TaskSpec, report: LoadReport) -> None:
    """Adds one dialogue to the report."""
    report.dialogues += 1
    report.utterances += len(dialogue.utterances)
    report.without_system += not dialogue.system_turns
    for index in dialogue.system_turns:
        strategies = dialogue.utterances[index].strategies
        report.system_utterances += 1
        report.unlabelled += not task.promoted_by(strategies)
        report.unknown_strategies.update(name for name in strategies if not task.knows(name))


def split_dialogues(
    dialogues: Sequence[Dialogue], fractions: Sequence[float] = (0.8, 0.1, 0.1), *, seed: int = 0
) -> list[list[Dialogue]]:
    """Splits dialogues by a hash of seed and id, so that the order of a file does not matter.

    Args:
        dialogues: With distinct ids.
        fractions: Share of each part; they add up to 1.
        seed: Another seed, another split.

    Returns:
        One list per fraction, each in the order of `dialogues`.

    Raises:
        DataError: The fractions do not add up to 1.
    """
    if abs(sum(fractions) - 1) > 1e-6 or min(fractions) < 0:
        raise DataError(f"the shares of a split must add up to 1, not {list(fractions)}")

    def key(position: int) -> bytes:
        return hashlib.sha256(f"{seed}:{dialogues[position].id}".encode()).digest()

    shuffled = sorted(range(len(dialogues)), key=key)
    parts, start, share = [], 0, 0.0
    for fraction in fractions:
        share += fraction
        end = round(share * len(dialogues))
        parts.append([dialogues[i] for i in sorted(shuffled[start:end])])
        start = end
    return parts


@dataclass(frozen=True)
class Statistics:
    """What a set of dialogues looks like.

    Attributes:
        dialogues: How many there are.
        utterances: Merged utterances of both speakers.
        rounds_per_dialogue: System utterances per dialogue. The papers count a round for each
            (ESConv train and valid together: 11.7; P4G: 10.4).
        words_per_utterance: Mean number of words, user and system.
        labelled: System utterances with a strategy that the task knows.
        aspects: Share of the labelled utterances that promote each aspect. The shares add up to
            more than 1: a merged utterance can promote several.
        strategies: How often each strategy stands there, the commonest first.
    """

    dialogues: int
    utterances: int
    rounds_per_dialogue: float
    words_per_utterance: dict[str, float]
    labelled: int
    aspects: dict[str, float]
    strategies: dict[str, int]


def statistics(dialogues: Sequence[Dialogue], task: TaskSpec) -> Statistics:
    """Counts dialogues, rounds, words, aspects and strategies.

    Raises:
        DataError: There are no dialogues.
    """
    if not dialogues:
        raise DataError("there are no dialogues to count: pass a file that holds some")
    said = [utterance for dialogue in dialogues for utterance in dialogue.utterances]
    words = {side: [len(u.text.split()) for u in said if u.speaker == side] for side in _SIDES}
    system = [utterance for utterance in said if utterance.speaker == "system"]
    promoted = [p for p in (task.promoted_by(u.strategies) for u in system) if p]
    counts = Counter(aspect for aspects in promoted for aspect in aspects)
    return Statistics(
        dialogues=len(dialogues),
        utterances=len(said),
        rounds_per_dialogue=len(system) / len(dialogues),
        words_per_utterance={side: sum(n) / max(len(n), 1) for side, n in words.items()},
        labelled=len(promoted),
        aspects={
            aspect: counts[aspect] / max(len(promoted), 1)
            for aspect in (*task.aspect_names, PASSIVE)
            if aspect != PASSIVE or counts[aspect]
        },
        strategies=dict(Counter(name for u in system for name in u.strategies).most_common()),
    )


_SIDES = ("user", "system")


def fetch(name: str, cache: str | Path, *, timeout: float = 30.0) -> dict[str, Path]:
    """Downloads a data set from its public home into a folder, unless it is already there.

    Args:
        name: A key of `PUBLIC_HOMES`.
        cache: The folder; the files go to `cache/name`.
        timeout: Seconds to wait for an answer.

    Returns:
        File name -> where it lies.

    Raises:
        DataError: Unknown name, no network, or the folder cannot be written.
    """
    if name not in PUBLIC_HOMES:
        raise DataError(f"unknown data set {name!r}: {', '.join(PUBLIC_HOMES)} have a known home")
    folder = Path(cache).expanduser() / name
    return {file: _fetch(url, folder / file, timeout) for file, url in PUBLIC_HOMES[name].items()}


def _fetch(url: str, target: Path, timeout: float) -> Path:
    """One file; written whole or not at all."""
    if target.is_file():
        return target
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            part.write_bytes(answer.read())
        part.replace(target)
    except urllib.error.URLError as error:
        raise DataError(
            f"{url} cannot be fetched ({error.reason}): without network, download the file "
            "elsewhere and pass its path"
        ) from None
    except OSError as error:
        raise DataError(f"{url} cannot be saved as {target}: {error}") from None
    finally:
        part.unlink(missing_ok=True)
    return target
