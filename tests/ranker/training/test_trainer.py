"""Training with a tiny random Transformer: overfits, resumes, saves, refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from langgraph_cooper.prompts import TaskSpec, load_task
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.jsonl import write_annotated
from langgraph_cooper.ranker.evaluation.aspect_prior import load_prior
from langgraph_cooper.ranker.evaluation.metrics import measure
from langgraph_cooper.ranker.model.next_utterance import NextUtteranceModel
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.tokens import TurnTokenizer
from langgraph_cooper.ranker.model.transformer import load_transformer
from langgraph_cooper.ranker.training import run_folder, trainer
from langgraph_cooper.ranker.training.config import TrainConfig, TrainingError
from langgraph_cooper.ranker.training.embedding_cache import DiskCache, Memo
from langgraph_cooper.ranker.training.evidence import evidence_scores
from langgraph_cooper.ranker.training.examples import collate, make_examples, plan_batches
from langgraph_cooper.ranker.training.losses import Objective, total_loss
from langgraph_cooper.ranker.training.optimizer import parameter_groups
from langgraph_cooper.ranker.training.run_folder import RunFolder
from langgraph_cooper.ranker.training.scorer import TurnScorer, score_examples
from langgraph_cooper.ranker.training.trainer import train
from tests.ranker.toys import encode, toy_dialogues, toy_task


@pytest.fixture(autouse=True)
def task(monkeypatch: pytest.MonkeyPatch) -> TaskSpec:
    toy = toy_task(load_task("esc").prompts)
    monkeypatch.setattr(trainer, "load_task", lambda name: toy)
    return toy


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    """Tiny products are faster on one core, and the same on every machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def config(tmp_path: Path, tiny_transformer: str) -> TrainConfig:
    return config_in(tmp_path, tiny_transformer)


def config_in(folder: Path, transformer: str) -> TrainConfig:
    """Write the toy dialogues into a folder, and train from it into it."""
    write_annotated(folder / "train.jsonl", toy_dialogues(6))
    write_annotated(folder / "valid.jsonl", toy_dialogues(3, first=6))
    return TrainConfig(
        task="toy",
        train=folder / "train.jsonl",
        valid=folder / "valid.jsonl",
        output=folder / "out",
        encoder="toy",
        transformer=transformer,
        clusters=(2, 3),
        adapter_rank=4,
        freeze_layers=1,
        epochs=2,
        turns_per_batch=4,
        history_tokens=48,
        topic_tokens=16,
        dropout=0.1,
        precision="float32",
        device="cpu",
        save_every=2,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_transformer: str) -> Path:
    """A checkpoint that was trained without an interruption; for reading."""
    config = config_in(tmp_path_factory.mktemp("whole"), tiny_transformer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "load_task", lambda name: toy_task(load_task("esc").prompts))
        return train(config, encode=encode)


def changed(config: TrainConfig, **fields: Any) -> TrainConfig:
    return TrainConfig.model_validate(config.model_dump() | fields)


def log_of(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def without_times(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "turns_per_second"} for record in log]


def scores_of(folder: Path, config: TrainConfig, task: TaskSpec) -> list[np.ndarray]:
    ranker = CooperRanker.from_pretrained(folder, aspects=task.aspect_names)
    examples = make_examples(toy_dialogues(3, first=6), task, encode, ranker.tokenizer)
    if ranker.evidence is not None:
        examples = examples.with_prediction(ranker.evidence.expectation)
    return score_examples(TurnScorer(ranker), examples, torch.device("cpu"))


def test_a_run_leaves_a_checkpoint_a_card_and_a_log(config: TrainConfig, task: TaskSpec) -> None:
    folder = train(config, encode=encode)
    assert folder == config.output
    ranker = CooperRanker.from_pretrained(folder, aspects=task.aspect_names)
    assert all(2 <= k <= 3 for k in ranker.config.targets)
    assert ranker.config.metadata["seed"] == 0
    log = log_of(folder)
    assert [r["epoch"] for r in log if r["kind"] == "valid"] == [-1, 0, 1]
    assert {"loss", "listwise", "lr", "step"} <= set(log[1])
    assert load_prior(folder, task).probability("explore", 1) > 0.6  # for an evaluation
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "CC BY-NC" in card
    assert "train.jsonl" in card
    assert str(config.train.parent) not in card
    assert "(this one)" in card


@pytest.mark.parametrize("objective", [Objective(), Objective.paper()])
@pytest.mark.parametrize("rank", [8, 0])
def test_overfits_eight_turns(
    config: TrainConfig, task: TaskSpec, objective: Objective, rank: int
) -> None:
    """Every parameter group learns: the best candidate of each of eight turns comes first."""
    small = changed(
        config,
        max_turns=8,
        turns_per_batch=8,
        epochs=60,
        adapter_rank=rank,
        freeze_layers=0,
        dropout=0.0,
        transformer_rate=3e-3,
        head_rate=1e-2,
        objective=objective.model_dump(),
        decision=0.0,  # the ranker's own
    )
    figures = overfit(_run(small), 60)
    assert figures["hit@1"] == 1.0
    assert figures["precision@1"] == 1.0


def overfit(run: trainer._Run, steps: int) -> dict[str, float]:
    """Take at most so many steps on eight turns, until the figures are perfect; return them."""
    losses, figures = [], {"hit@1": 0.0}
    for step in range(1, steps + 1):
        run._step(range(8), 0)
        losses.append(run.progress.log[-1]["loss"])
        if step % 10 == 0:
            turns = run.setup.train
            figures = measure(turns.turns, run.score(turns)).means()
            if losses[-1] < 0.5 * losses[0] and figures["hit@1"] == 1.0:
                break
    assert losses[-1] < 0.5 * losses[0]
    return figures


@pytest.mark.parametrize("form", ["packed", "pairwise"])
@pytest.mark.parametrize("rank", [8, 0])
def test_the_transformer_alone_overfits_eight_turns(
    config: TrainConfig, rank: int, form: str
) -> None:
    """The heads stay as they were drawn, and the paper's signals add the same to every candidate
    of a turn: what gets better, the Transformer or its adapters have learnt."""
    small = changed(
        config,
        max_turns=8,
        turns_per_batch=8,
        epochs=40,
        form=form,
        fusion="paper",
        adapter_rank=rank,
        freeze_layers=0,
        dropout=0.0,
        weight_decay=0.0,
        warmup=0.0,
        transformer_rate=3e-3,
        head_rate=1e-12,
    )
    run = _run(small)
    turns = run.setup.train
    before = measure(turns.turns, run.score(turns)).means()
    assert before["hit@1"] < 0.75
    assert overfit(run, 40)["hit@1"] == 1.0


def _run(config: TrainConfig) -> trainer._Run:
    return trainer._Run.start(config, trainer._accelerator(config), None, encode)


class KilledError(RuntimeError):
    """What the simulated kill raises."""


@pytest.mark.parametrize(("kill_at", "goes_on"), [(1, 1), (5, 6), (7, 7)])
def test_resumes_to_the_same_result(
    config: TrainConfig, task: TaskSpec, whole: Path, kill_at: int, goes_on: int
) -> None:
    def kill(step: int) -> None:
        if step == kill_at:
            raise KilledError

    with pytest.raises(KilledError):
        train(config, encode=encode, on_step=kill)
    assert not config.output.exists()
    steps: list[int] = []
    resumed = train(config, encode=encode, on_step=steps.append)
    assert steps[0] == goes_on  # saved at every second step and at an epoch's end, the fifth
    assert without_times(log_of(resumed)) == without_times(log_of(whole))
    for one, two in zip(
        scores_of(whole, config, task), scores_of(resumed, config, task), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_loaded_elsewhere_it_scores_the_same(config: TrainConfig, task: TaskSpec) -> None:
    run = _run(changed(config, adapter_rank=4))
    for rows in ([0, 1, 2, 3], [4, 5, 6, 7]):
        run._step(rows, 0)
    before = run.score(run.setup.valid)
    run.ranker.save_pretrained(config.output, half=False)
    after = scores_of(config.output, config, task)
    for one, two in zip(before, after, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_another_run_s_state_is_refused(config: TrainConfig) -> None:
    def kill(step: int) -> None:
        if step == 2:
            raise KilledError

    with pytest.raises(KilledError):
        train(config, encode=encode, on_step=kill)
    with pytest.raises(TrainingError, match="other settings or data"):
        train(changed(config, seed=9), encode=encode)
    (config.work / "state.pt").write_bytes(b"cut")
    with pytest.raises(TrainingError, match="damaged"):
        train(config, encode=encode)


def test_nor_does_a_run_go_on_with_other_labels(
    config: TrainConfig, task: TaskSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under one name a task's file may have come to mean something else."""

    def kill(step: int) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        train(config, encode=encode, on_step=kill)
    first, *others = task.aspects
    more = first.model_copy(update={"strategies": (*first.strategies, "Others")})
    other = task.model_copy(update={"aspects": (more, *others)})
    monkeypatch.setattr(trainer, "load_task", lambda name: other)
    with pytest.raises(TrainingError, match="other settings or data"):
        train(config, encode=encode)


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4], [3]])
def test_on_two_devices_each_turn_counts_the_same(config: TrainConfig, rows: list[int]) -> None:
    run = _run(changed(config, dropout=0.0))
    alone = _gradient(run, rows, 0, 1)
    shares = [_gradient(run, rows, place, 2) for place in range(2)]
    torch.testing.assert_close(sum(shares) / 2, alone, atol=1e-5, rtol=1e-3)


def _gradient(run: trainer._Run, rows: list[int], place: int, devices: int) -> torch.Tensor:
    """The gradient of one device's share of a step."""
    found: list[torch.Tensor] = []

    class Device:
        num_processes, process_index = devices, place

        def __getattr__(self, name: str) -> Any:
            return getattr(accelerator, name)

        def clip_grad_norm_(self, parameters: list[Any], largest: float) -> float:
            found.append(torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]))
            raise KilledError

    accelerator, run.accelerator = run.accelerator, Device()  # type: ignore[assignment]
    with pytest.raises(KilledError):
        run._step(rows, 0)
    run.accelerator = accelerator
    return found[0]


def test_a_state_of_another_version_is_refused(
    config: TrainConfig, task: TaskSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parameters have other names, which loading would pass over without a word."""

    def kill(step: int) -> None:
        if step == 2:
            raise KilledError

    monkeypatch.setattr(run_folder, "FORMAT", run_folder.FORMAT - 1)
    with pytest.raises(KilledError):
        train(config, encode=encode, on_step=kill)
    monkeypatch.undo()
    monkeypatch.setattr(trainer, "load_task", lambda name: task)
    with pytest.raises(TrainingError, match="other settings or data"):
        train(config, encode=encode)


def test_an_existing_output_is_left_alone(config: TrainConfig) -> None:
    config.output.mkdir()
    with pytest.raises(TrainingError, match="already exists"):
        train(config, encode=encode)


def test_a_full_disk_is_one_sentence(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match="No space left on device"):
        train(config, encode=encode)


def test_too_few_conversations_and_unknown_aspects(config: TrainConfig) -> None:
    with pytest.raises(DataError, match="too few"):
        train(changed(config, clusters=(30, 40)), encode=encode)
    (odd,) = toy_dialogues(1)
    turn = odd.turns[0]
    wrong = turn.candidates[0].model_copy(update={"aspect": "magic"})
    turns = (turn.model_copy(update={"candidates": (wrong,)}), *odd.turns[1:])
    write_annotated(config.train, [odd.model_copy(update={"turns": turns}), *toy_dialogues(5, 1)])
    with pytest.raises(DataError, match="'magic', which the task 'toy' does not"):
        train(config, encode=encode)


@pytest.mark.parametrize("fields", [{"freeze_layers": 2}, {"device": "cuda"}])
def test_impossible_settings_are_refused(config: TrainConfig, fields: dict[str, Any]) -> None:
    if fields.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(TrainingError):
        train(changed(config, **fields), encode=encode)


def test_a_dialogue_in_both_files_is_refused(config: TrainConfig) -> None:
    write_annotated(config.valid, toy_dialogues(3, first=4))
    with pytest.raises(TrainingError, match=r"2 dialogues are both in .*train\.jsonl and"):
        train(config, encode=encode)


def test_order_and_names_of_dialogues_do_not_matter(
    config: TrainConfig, task: TaskSpec, whole: Path
) -> None:
    """An annotation writes whichever was finished first."""
    one = scores_of(whole, config, task)
    renamed = [d.model_copy(update={"id": f"talk {d.id}"}) for d in toy_dialogues(6)[::-1]]
    write_annotated(config.train, renamed)
    for a, b in zip(one, scores_of(train(config, encode=encode), config, task), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_evidence_is_that_of_all_turns(config: TrainConfig, task: TaskSpec) -> None:
    few = changed(config, max_turns=4, output=config.output.with_name("few"))
    one, other = _run(config).ranker.evidence, _run(few).ranker.evidence
    assert one is not None
    assert other is not None
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


def test_where_no_epoch_is_better_the_evidence_alone_is_kept(
    config: TrainConfig, task: TaskSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(self: trainer._Run, examples: Any) -> list[np.ndarray]:
        return [-turn.labels.astype(float) for turn in examples.turns]

    monkeypatch.setattr(trainer._Run, "score", spoilt)
    folder = train(config, encode=encode)
    assert [r["best"] for r in log_of(folder) if r["kind"] == "valid"] == [True, False, False]
    ranker = CooperRanker.from_pretrained(folder, aspects=task.aspect_names)
    assert ranker.config.metadata["epoch"] == 0
    assert "evidence alone (this one)" in (folder / "README.md").read_text(encoding="utf-8")
    examples = make_examples(toy_dialogues(3, first=6), task, encode, ranker.tokenizer)
    assert ranker.evidence is not None
    examples = examples.with_prediction(ranker.evidence.expectation)
    for one, two in zip(
        evidence_scores(ranker, examples), scores_of(folder, config, task), strict=True
    ):
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_progress_is_calibrated_for_what_has_learnt(config: TrainConfig, task: TaskSpec) -> None:
    folder = train(changed(config, head_rate=0.05, epochs=4), encode=encode)
    ranker = CooperRanker.from_pretrained(folder, aspects=task.aspect_names)
    for name, module in zip(task.aspect_names, ranker.progressions.values(), strict=True):
        texts = [dialogue.final_states[name] for dialogue in toy_dialogues(6)]
        near = module(torch.from_numpy(encode(texts))).closeness
        assert module.calibration[0].item() == pytest.approx(near.mean().item(), abs=2e-3)


def test_one_that_goes_on_keeps_what_it_had_fitted(config: TrainConfig, task: TaskSpec) -> None:
    """An encoder that computes slightly otherwise, as on another machine."""

    def kill(step: int) -> None:
        if step == 2:
            raise KilledError

    def otherwise(texts: Any) -> Any:
        noise = np.random.default_rng(1).normal(size=(len(texts), 32)) * 1e-2
        return (encode(texts) + noise).astype(np.float32)

    with pytest.raises(KilledError):
        train(config, encode=encode, on_step=kill)
    began = RunFolder(config.work, _print_of(config)).load_fitted()
    folder = train(config, encode=otherwise)
    ranker = CooperRanker.from_pretrained(folder, aspects=task.aspect_names)
    assert began is not None
    assert ranker.evidence is not None
    for target, module in zip(began.targets, ranker.progressions.values(), strict=True):
        np.testing.assert_allclose(module.targets, target.centroids, atol=1e-3)
    for name, value in ranker.evidence.state_dict().items():
        torch.testing.assert_close(value, began.evidence[name], atol=2e-2, rtol=2e-3)


def _print_of(config: TrainConfig) -> str:
    return f"{config.fingerprint(trainer.load_task(config.task))} False cpu"


def test_what_was_fitted_and_is_damaged_is_one_sentence(config: TrainConfig) -> None:
    config.work.mkdir(parents=True)
    (config.work / "fitted.pt").write_bytes(b"cut")
    with pytest.raises(TrainingError, match=r"fitted\.pt is damaged: remove"):
        train(config, encode=encode)


def test_the_environment_does_not_change_the_precision(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    accelerator = trainer._accelerator(config)
    assert accelerator.mixed_precision == "no"
    assert accelerator.gradient_accumulation_steps == 1


def test_the_card_s_command_makes_the_same_run(config: TrainConfig) -> None:
    asked = changed(
        config, objective=Objective.paper().model_dump(), fusion="paper", form="pairwise"
    )
    card = (train(asked, encode=encode) / "README.md").read_text(encoding="utf-8")
    command = card.split("```sh\n")[1].split("\n")[0]
    for words in (
        *("--fusion paper", "--form pairwise", "--objective paper", "--adapter-rank 4"),
        *("--freeze-layers 1", "--clusters 2 3", "--turns-per-batch 4", "--epochs 2"),
        *("--precision float32", "--device cpu", "--encoder toy"),
    ):
        assert words in command
    assert "--seed" not in command  # the default
    assert '"evidence": false' in card
    assert '"decision": 0.0' in card


def test_patience_stops_early(config: TrainConfig) -> None:
    # With next to no learning rate no epoch is better than the first.
    idle = changed(config, epochs=6, patience=1, head_rate=1e-12, transformer_rate=1e-12)
    log = log_of(train(idle, encode=encode))
    assert [r["epoch"] for r in log if r["kind"] == "valid"] == [-1, 0, 1]


def test_frozen_layers_get_no_gradient_and_the_others_do(config: TrainConfig) -> None:
    for rank in (4, 0):
        run = _run(changed(config, adapter_rank=rank, output=config.output / str(rank)))
        run._step([0, 1, 2, 3], 0)
        # B of an adapter starts at zero, and with it A's first gradient; the second has none.
        run._step([4, 5, 6, 7], 0)
        names = {n for n, p in run.ranker.named_parameters() if p.requires_grad}
        assert not any(".0." in n or "embeddings" in n for n in names if n[:11] == "transformer")
        still = {n for n, p in run.ranker.named_parameters() if n in names and p.grad is None}
        assert not still
        trained = sum(len(group["params"]) for group in run.optimizer.param_groups)
        assert trained == len(names)


def test_only_trained_layers_drop_out(config: TrainConfig) -> None:
    scorer = _run(config).scorer.train()
    layers = scorer.ranker.transformer.encoder.layer
    assert not scorer.ranker.transformer.embeddings.training
    assert not layers[0].output.dropout.training
    assert layers[1].output.dropout.training
    assert layers[1].output.dropout.p == 0.1
    assert layers[1].attention.self.dropout.p == 0.0
    assert scorer.ranker.fusion.training


def test_the_ablation_trains_without_signals(config: TrainConfig, task: TaskSpec) -> None:
    folder = train(changed(config, progression=False), encode=encode)
    ranker = CooperRanker.from_pretrained(folder, aspects=task.aspect_names)
    assert ranker.mlp is None
    assert not ranker.config.progression


@pytest.mark.parametrize("form", ["packed", "pairwise"])
@pytest.mark.parametrize("fusion", ["aspect", "paper"])
def test_the_scorer_is_the_ranker(config: TrainConfig, form: str, fusion: str) -> None:
    run = _run(changed(config, form=form, fusion=fusion))
    run.scorer.eval()
    ranker = run.ranker
    batch = collate(run.setup.train, [0, 3, 5])
    tokens = ranker.tokens([run.setup.train.tokens[row] for row in (0, 3, 5)])
    with torch.no_grad():
        signals = ranker.signals(batch.states)
        final = ranker(tokens, batch.aspects, signals, batch.vectors)
        torch.testing.assert_close(run.scorer.score(tokens, batch), final)
        text = ranker.encode(tokens)
        expected = ranker.raw_scores(text, batch.aspects, signals, batch.vectors)
        got = run.scorer(tokens, batch)
        run.scorer.in_bfloat16 = True
        rough = run.scorer(tokens, batch)
    torch.testing.assert_close(got, expected)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, expected, atol=0.2, rtol=0.2)


def test_w_is_not_decayed(config: TrainConfig) -> None:
    run = _run(config)
    groups = parameter_groups(run.ranker, config)
    undecayed = {id(p) for p in groups[2]["params"]}
    weights = [m.weight for m in run.ranker.progressions.values()]
    assert all(id(weight) in undecayed for weight in weights)
    assert groups[2]["weight_decay"] == 0.0


def test_plan_batches_covers_all_once_with_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(20, 300, 500).tolist()
    batches = plan_batches(lengths, 16, np.random.default_rng(1))
    assert sorted(row for rows in batches for row in rows) == list(range(500))
    assert batches == plan_batches(lengths, 16, np.random.default_rng(1))
    assert batches != plan_batches(lengths, 16, np.random.default_rng(2))
    padding = sum(max(lengths[r] for r in rows) * len(rows) for rows in batches) / sum(lengths)
    assert padding < 1.1


def test_collate_pads_turns_of_unequal_width(task: TaskSpec, tiny_transformer: str) -> None:
    dialogues = toy_dialogues(1)
    turn = dialogues[0].turns[0]
    short = turn.model_copy(update={"candidates": turn.candidates[:2]})
    uneven = dialogues[0].model_copy(update={"turns": (short, *dialogues[0].turns[1:])})
    tokenizer = TurnTokenizer(
        load_transformer(tiny_transformer).tokenizer, history_tokens=40, topic_tokens=12
    )
    batch = collate(make_examples([uneven], task, encode, tokenizer), [0, 1])
    assert batch.mask.sum(dim=1).tolist() == [2, 7]
    assert batch.labels[0].tolist() == [2, 1, 0, 0, 0, 0, 0]
    assert batch.states.shape == (2, 3, 32)
    loss, parts = total_loss(Objective(triplet=0.9, pointwise=0.1, aspect=1.0), batch.labels, batch)
    assert set(parts) == {"triplet", "pointwise", "listwise", "aspect"}
    assert torch.isfinite(loss)


def test_vectors_are_those_of_the_texts(task: TaskSpec, tiny_transformer: str) -> None:
    loaded = load_transformer(tiny_transformer)
    turns = TurnTokenizer(loaded.tokenizer, history_tokens=48, topic_tokens=16)
    dialogues = toy_dialogues(2)
    examples = make_examples(dialogues, task, encode, turns)
    assert collate(examples, [0, 1]).vectors is None  # without predictions
    vectors = collate(examples.with_prediction(NextUtteranceModel(3, 2, 32)), [0, 1]).vectors
    assert vectors is not None
    second = dialogues[0].turns[1]
    np.testing.assert_allclose(
        vectors.topics[1, : len(second.candidates)],
        encode([candidate.topic for candidate in second.candidates]),
    )
    said = [utterance.text for utterance in dialogues[0].utterances]
    np.testing.assert_allclose(
        vectors.recent, [encode([said[0], "", ""]), encode([said[2], said[1], said[0]])]
    )
    np.testing.assert_allclose(examples.texts[examples.replies[:2]], encode([said[1], said[3]]))
    assert vectors.rounds.tolist() == [1, 2]


def test_a_text_is_computed_once_in_however_many_lists() -> None:
    asked: list[list[str]] = []

    def counting(texts: Any) -> Any:
        asked.append(list(texts))
        return encode(texts)

    memo = Memo(counting)
    np.testing.assert_array_equal(memo(["a", "b", "a"]), encode(["a", "b", "a"]))
    np.testing.assert_array_equal(memo(["c", "b", ""]), encode(["c", "b", ""]))
    assert memo([]).shape == (0, 32)
    memo(["", "c"])
    assert asked == [["a", "b"], ["c", ""], []]


def test_disk_cache_computes_once_and_survives_damage(tmp_path: Path) -> None:
    calls: list[int] = []

    def counting(texts: Any) -> Any:
        calls.append(len(texts))
        return encode(texts)

    cache = DiskCache(counting, tmp_path / "c", "toy")
    first = cache(["a", "b"])
    np.testing.assert_array_equal(DiskCache(counting, tmp_path / "c", "toy")(["a", "b"]), first)
    assert calls == [2]
    DiskCache(counting, tmp_path / "c", "other")(["a", "b"])
    cache(["b", "a"])
    assert calls == [2, 2, 2]
    for file in (tmp_path / "c").iterdir():
        file.write_bytes(file.read_bytes()[:40])
    np.testing.assert_array_equal(cache(["a", "b"]), first)
