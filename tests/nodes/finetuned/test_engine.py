from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from langgraph_cooper.nodes.finetuned import cache
from langgraph_cooper.nodes.finetuned.cache import is_whole, quick_copy
from langgraph_cooper.nodes.finetuned.engine import LONGER, Engine, Patience, Sampling
from langgraph_cooper.nodes.finetuned.errors import VoiceError
from langgraph_cooper.nodes.finetuned.format import Given, Kind, TopicLine
from langgraph_cooper.ranker.data.dialogue import Utterance
from tests.nodes.finetuned.conftest import Make

pytest.importorskip("ctranslate2", reason="needs the extra `voice`")

SAID = [Utterance("user", "I lost my job."), Utterance("system", "When?"), Utterance("user", "Now")]
TURN = Given(SAID, {"exploration": "The job is gone."}, [TopicLine("Question", "Ask more.")])
GREEDY = Sampling(samples=1, temperature=1e-4, top_p=0.01)


@pytest.fixture(scope="module", params=["causal", "seq2seq"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def made(
    kind: Kind, make_voice: Make, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Make, Path, Engine]:
    voice = make_voice(kind)
    folder = quick_copy(voice, cache=tmp_path_factory.mktemp("cache"))
    return make_voice, folder, Engine(folder, voice.config)


def test_a_greedy_reply_is_nearly_torchs(make_voice: Make, made: tuple[Make, Path, Engine],
                                         kind: Kind) -> None:  # fmt: skip
    """Weights in 8 bits differ a little: the first tokens are the same."""
    import torch

    base = make_voice(kind).merged()
    engine = made[2]
    ids = torch.tensor([engine.format.prompt(TURN)])
    with torch.inference_mode():
        out = base.model.generate(ids, max_new_tokens=8, do_sample=False)[0].tolist()
    expected = out[ids.shape[1] :] if kind == "causal" else out[1:]
    spoken = engine.sample([TURN], GREEDY)[0][0]
    assert spoken[:2] == engine.format.decode(expected)[:2]


def test_samples_of_several_turns_come_in_order(made: tuple[Make, Path, Engine]) -> None:
    engine = made[2]
    found = engine.sample([TURN, TURN._replace(history=SAID[:1])], Sampling(samples=3), seed=1)
    assert all(1 <= len(samples) <= 3 for samples in found)
    assert len(found) == 2
    many = list(engine.sample_many([TURN] * 5, Sampling(samples=2), batch=2))
    assert all(1 <= len(samples) <= 2 for samples in many)
    assert len(many) == 5
    assert engine.sample([], GREEDY) == []
    turns, greedy = (
        [TURN, TURN._replace(history=SAID[:1])],
        GREEDY.model_copy(update={"samples": 2}),
    )
    assert engine.sample(turns, greedy) == [engine.sample([turn], greedy)[0] for turn in turns]


def test_the_two_workers_draw_other_samples(made: tuple[Make, Path, Engine]) -> None:
    samples = made[2].sample([TURN], Sampling(samples=8, temperature=2.0, top_p=1.0), seed=3)[0]
    assert 2 * len(set(samples)) > len(samples) + 2  # with one source of chance half would be twins


def test_a_sample_far_longer_than_most_is_given_up() -> None:
    patience = Patience(samples=4, parts=2, stopped=lambda: False)

    def ended(batch: int, hypothesis: int, length: int) -> bool:
        return any(
            patience(SimpleNamespace(batch_id=batch, hypothesis_id=hypothesis, step=step,
                                     is_last=step == length))
            for step in range(length + 1)
        )  # fmt: skip

    assert not ended(0, 0, 5)
    assert not ended(1, 0, 9)
    assert not ended(0, 1, 60)  # too few have ended
    other_turn = 2
    assert not ended(other_turn, 0, 80)
    patience = Patience(samples=4, parts=2, stopped=lambda: False)
    assert not ended(0, 0, 5)
    assert not ended(1, 0, 9)
    assert not ended(0, 1, 12)
    assert not ended(1, 1, 12 + LONGER)
    assert ended(1, 1, 60)


def test_a_stopped_sampling_ends_at_once(made: tuple[Make, Path, Engine]) -> None:
    calls: list[int] = []

    def stopped() -> bool:
        calls.append(1)
        return True

    made[2].sample([TURN], Sampling(samples=2), stopped=stopped)
    assert len(calls) <= 4


def test_several_threads_share_an_engine(made: tuple[Make, Path, Engine]) -> None:
    found: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: found.extend(made[2].sample([TURN], GREEDY)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({tuple(samples) for samples in found}) == 1
    assert len(found) == 4


def test_a_copy_is_made_once_and_a_damaged_one_again(make_voice: Make, tmp_path: Path) -> None:
    voice, told = make_voice(), []
    folder = quick_copy(voice, cache=tmp_path, notice=told.append)
    assert quick_copy(voice, cache=tmp_path, notice=told.append) == folder
    assert len(told) == 1
    (folder / "model.bin").write_bytes(b"damaged")
    assert not is_whole(folder)
    assert is_whole(quick_copy(voice, cache=tmp_path, notice=told.append))
    assert len(told) == 2
    assert {path.name for path in tmp_path.iterdir()} <= {folder.name, f"{folder.name}.lock"}


def test_a_full_disk_is_one_clear_error(
    make_voice: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "convert", full)
    with pytest.raises(VoiceError, match=r"No space left.*COOPER_CACHE"):
        quick_copy(make_voice(), cache=tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
