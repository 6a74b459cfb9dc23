"""The engine: learning, keeping the best, going on after a stop, stopping at a loss that is not finite."""

import csv
import json
import re
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from regatta.digest import digest_of_file
from regatta.engine import parts, training
from regatta.engine.feed import Feed
from regatta.engine.job import Job, Outcome
from regatta.engine.journal import points, write_history
from regatta.engine.training import train
from regatta.engine.world import World
from regatta.errors import RegattaError
from regatta.packed.schema import Packed
from regatta.settings.recipe import Augment, Recipe


def quiet(line: str) -> None:
    del line


def job_of(packed: Packed, folder: Path, recipe: Recipe) -> Job:
    folder.mkdir(parents=True, exist_ok=True)
    return Job(
        run="trial",
        problem=packed.schema.problem,
        family="tiny",
        options={},
        recipe=recipe,
        data=packed.path,
        key="k",
        folder=folder,
    )


def network_of(packed: Packed) -> nn.Module:
    torch.manual_seed(5)
    body = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1)]
    if packed.schema.problem == "segmentation":
        return nn.Sequential(*body, nn.Conv2d(8, 3, 1))
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))


def weights(folder: Path, name: str = "last") -> dict[str, Tensor]:
    return load_file(folder / f"{name}.safetensors")


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def history(folder: Path) -> list[list[str]]:
    write_history(folder / "journal.jsonl", folder / "history.csv")
    with (folder / "history.csv").open() as file:
        return list(csv.reader(file))


RECIPE = Recipe(
    epochs=3, batch_size=8, lr=0.05, log_every_steps=2, augment=Augment(flip=True, shift_px=1, colour=0.1)
)


@pytest.mark.parametrize("problem", ["classification", "segmentation"])
def test_it_learns_and_leaves_what_it_promises(problem, packed_pictures, tmp_path: Path) -> None:
    packed = packed_pictures(problem=problem)
    train(job_of(packed, tmp_path / "run", RECIPE), network_of(packed), World(), quiet)
    outcome = Outcome.model_validate_json((tmp_path / "run/outcome.json").read_bytes())
    losses = [p["value"] for p in points(tmp_path / "run/journal.jsonl") if p["metric"] == "train/loss"]
    assert losses[-1] < 0.8 * losses[0]
    assert outcome.steps == 3 * 5
    assert 1 <= outcome.best_epoch <= 3
    assert weights(tmp_path / "run", "best").keys() == weights(tmp_path / "run").keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bf16"},
        {"channels_last": False},
        {"clip_norm": 1.0},
        {"label_smoothing": 0.1, "class_weights": "balanced"},
        {"augment": Augment(scale=0.2)},
        {"normalise": "unit"},
        {"warmup_epochs": 1.0, "nesterov": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
@pytest.mark.parametrize("problem", ["classification", "segmentation"])
def test_it_learns_under_every_knob(problem, changes, packed_pictures, tmp_path: Path) -> None:
    packed = packed_pictures(problem=problem)
    recipe = RECIPE.model_copy(update={"epochs": 4} | changes)
    train(job_of(packed, tmp_path / "run", recipe), network_of(packed), World(), quiet)
    losses = [p["value"] for p in points(tmp_path / "run/journal.jsonl") if p["metric"] == "train/loss"]
    assert losses[-1] < 0.9 * losses[0]


def test_gradients_are_clipped_to_the_norm_over_all_of_them(packed_pictures, tmp_path: Path) -> None:
    packed = packed_pictures(problem="classification", train=10)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12 * 16 * 3, 3))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    recipe = Recipe(
        epochs=1, batch_size=10, lr=1.0, momentum=0.0, schedule="constant", clip_norm=0.01, normalise="unit"
    )
    train(job_of(packed, tmp_path / "run", recipe), network, World(), quiet)
    moved = torch.cat([(v - before[k]).flatten() for k, v in weights(tmp_path / "run").items()])
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_run_stopped_in_mid_epoch_goes_on_to_the_same_weights(
    optimiser, ema_decay, packed_pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = packed_pictures(problem="classification")
    recipe = RECIPE.model_copy(
        update={"optimiser": optimiser, "ema_decay": ema_decay, "checkpoint_every_s": 0.0, "lr": 0.01}
    )
    train(job_of(packed, tmp_path / "whole", recipe), network_of(packed), World(), quiet)

    class Stopped(Exception):
        pass

    def stop_at_step_9(which: parts.Parts, *rest: object) -> tuple[Tensor, int]:
        if which.state.step == 9:
            raise Stopped
        return step(which, *rest)  # pyright: ignore[reportArgumentType]

    step = training.train_step
    job = job_of(packed, tmp_path / "stopped", recipe)
    with monkeypatch.context() as stopping:
        stopping.setattr(training, "train_step", stop_at_step_9)
        with pytest.raises(Stopped):
            train(job, network_of(packed), World(), quiet)
    assert not (job.folder / "outcome.json").exists()
    torch.manual_seed(999)
    train(job, network_of(packed), World(), quiet)
    assert same(weights(job.folder), weights(tmp_path / "whole"))
    assert same(weights(job.folder, "best"), weights(tmp_path / "whole", "best"))
    assert history(job.folder) == history(tmp_path / "whole")


def test_an_altered_checkpoint_is_passed_over_for_the_one_before(
    packed_pictures, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = packed_pictures(problem="classification")
    job = job_of(packed, tmp_path / "run", RECIPE)
    train(job, network_of(packed), World(), quiet)
    whole = weights(job.folder)
    newest = max((job.folder / "checkpoints").iterdir()) / "state.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    train(job, network_of(packed), World(), quiet)
    assert f"{newest}: is damaged; going on from the one before" in capsys.readouterr().out
    assert same(weights(job.folder), whole)


def test_accumulated_micro_batches_learn_as_one_large_batch(packed_pictures, tmp_path: Path) -> None:
    packed = packed_pictures(problem="classification", train=40)
    plain = Recipe(epochs=2, lr=0.05, batch_size=20, schedule="constant")
    network = nn.Sequential(nn.Flatten(), nn.Linear(12 * 16 * 3, 3))
    initial = {k: v.clone() for k, v in network.state_dict().items()}
    train(job_of(packed, tmp_path / "large", plain), network, World(), quiet)
    network.load_state_dict(initial)
    small = plain.model_copy(update={"batch_size": 5, "accumulation": 4})
    train(job_of(packed, tmp_path / "small", small), network, World(), quiet)
    for name, value in weights(tmp_path / "large").items():
        torch.testing.assert_close(weights(tmp_path / "small")[name], value)


def test_one_step_of_sgd_is_the_textbook_one(packed_pictures, tmp_path: Path) -> None:
    packed = packed_pictures(problem="classification", train=10)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12 * 16 * 3, 3))
    reference = nn.Sequential(nn.Flatten(), nn.Linear(12 * 16 * 3, 3))
    reference.load_state_dict(network.state_dict())
    recipe = Recipe(epochs=1, batch_size=10, lr=0.1, momentum=0.0, weight_decay=0.01, schedule="constant")
    train(job_of(packed, tmp_path / "run", recipe), network, World(), quiet)
    split = packed.split("train")
    images = torch.tensor(split.images.copy()).permute(0, 3, 1, 2) / 255
    loss = nn.functional.cross_entropy(reference((images - 0.4) / 0.3), torch.tensor(split.targets.copy()))
    loss.backward()
    with torch.no_grad():
        weight, bias = reference[1].weight, reference[1].bias
        weight -= 0.1 * (weight.grad + 0.01 * weight)
        bias -= 0.1 * bias.grad  # biases do not decay
    torch.testing.assert_close(weights(tmp_path / "run")["1.weight"], weight.data)
    torch.testing.assert_close(weights(tmp_path / "run")["1.bias"], bias.data)


def test_a_loss_that_is_not_finite_names_step_rate_and_samples(packed_pictures, tmp_path: Path) -> None:
    packed = packed_pictures(problem="classification")
    network = nn.Sequential(nn.Flatten(), nn.Linear(12 * 16 * 3, 3), nn.Linear(3, 3))
    recipe = Recipe(epochs=2, batch_size=8, lr=100.0, momentum=0.99, schedule="constant")
    job = job_of(packed, tmp_path / "run", recipe.model_copy(update={"epochs": 60}))
    with pytest.raises(
        RegattaError, match=r"not finite at step \d+ \(epoch \d+, learning rate 100, .*train-"
    ):
        train(job, network, World(), quiet)
    assert not (job.folder / "outcome.json").exists()


def test_no_epochs_leave_the_first_weights(packed_pictures, tmp_path: Path) -> None:
    packed = packed_pictures(problem="classification")
    network = network_of(packed)
    initial = {k: v.clone() for k, v in network.state_dict().items()}
    train(job_of(packed, tmp_path / "run", Recipe(epochs=0)), network, World(), quiet)
    assert same(weights(tmp_path / "run", "best"), initial)


def test_progress_tells_epoch_step_loss_speed_and_time_left(
    packed_pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regatta.engine.clock.SAY_EVERY_S", 0.0)
    packed, lines = packed_pictures(problem="classification"), list[str]()
    train(job_of(packed, tmp_path / "run", RECIPE), network_of(packed), World(), lines.append)
    assert any(
        line.startswith("epoch 2/3 step 2/5 loss ") and "samples/s left 0:0" in line for line in lines
    ), lines


def test_each_epoch_tells_its_scores_and_how_long_it_waited_for_data(
    packed_pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed, lines = packed_pictures(problem="classification"), list[str]()
    gather_all = Feed.gather_all
    monkeypatch.setattr(Feed, "gather_all", lambda feed, some: time.sleep(0.2) or gather_all(feed, some))
    train(job_of(packed, tmp_path / "run", RECIPE), network_of(packed), World(), lines.append)
    line = re.compile(r"epoch (\d)/3 val loss \d\.\d{4} top1 \d\.\d{4} waited (\S+)% for data")
    told = [match for match in map(line.fullmatch, lines) if match]
    assert [match[1] for match in told] == ["1", "2", "3"]
    assert all(50 < float(match[2]) <= 100 for match in told)


def test_history_is_the_journal_without_its_clock(packed_pictures, tmp_path: Path) -> None:
    packed = packed_pictures(problem="classification")
    for name in ("one", "two"):
        train(job_of(packed, tmp_path / name, RECIPE), network_of(packed), World(), quiet)
    assert history(tmp_path / "one") == history(tmp_path / "two")
    line = json.loads((tmp_path / "one/journal.jsonl").read_text().splitlines()[0])
    assert set(line) == {"step", "epoch", "metric", "value", "time_s"}


def test_better_weights_of_a_lost_attempt_do_not_pass_for_the_best(packed_pictures, tmp_path: Path) -> None:
    packed = packed_pictures(problem="classification")
    whole, killed = (job_of(packed, tmp_path / name, RECIPE) for name in ("whole", "killed"))
    train(whole, network_of(packed), World(), quiet)
    (killed.folder / "best-000002.safetensors").write_bytes(b"kept just before the kill, by other workers")
    train(killed, network_of(packed), World(), quiet)
    assert same(weights(killed.folder, "best"), weights(whole.folder, "best"))
    outcome = Outcome.model_validate_json((killed.folder / "outcome.json").read_bytes())
    assert outcome.best_digest == digest_of_file(killed.folder / "best.safetensors")
    assert len(list(killed.folder.glob("best-*.safetensors"))) <= 2  # as many as checkpoints are kept


def test_weights_that_went_astray_in_the_last_step_of_an_epoch_are_not_kept(
    packed_pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = packed_pictures(problem="classification")
    job = job_of(packed, tmp_path / "run", RECIPE)

    def astray(which: parts.Parts, *rest: object) -> tuple[Tensor, int]:
        found = step(which, *rest)  # pyright: ignore[reportArgumentType]
        if which.state.step == which.steps_per_epoch - 1:
            with torch.no_grad():
                next(which.network.parameters()).fill_(torch.nan)
        return found

    step = training.train_step
    monkeypatch.setattr(training, "train_step", astray)
    with pytest.raises(RegattaError, match="validation split is not finite after epoch 1: lower lr"):
        train(job, network_of(packed), World(), quiet)
    [kept] = job.folder.glob("best*.safetensors")
    assert all(tensor.isfinite().all() for tensor in load_file(kept).values())
