"""Around the engine: nothing for one worker, Ray Train for more; the same arithmetic."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from regatta.cluster import fitting
from regatta.cluster.lines import lines_shown
from regatta.cluster.resources import resources_of
from regatta.engine.job import Outcome
from regatta.errors import RegattaError
from regatta.settings.recipe import Recipe
from tests.ray_fits import fit, job_of


@pytest.mark.timeout(400)
def test_two_workers_learn_what_one_learns_and_show_their_lines(packed_pictures, tmp_path: Path) -> None:
    packed = packed_pictures(problem="classification", train=39)  # not divisible
    alone, two = (
        job_of(packed, tmp_path / name, workers=n, epochs=2) for name, n in (("alone", 1), ("two", 2))
    )
    for job in (alone, two):
        done = fit(job)
        assert done.returncode == 0, done.stderr[-2000:]
        assert "epoch 2/2 val loss" in done.stdout
    one, other = (load_file(job.folder / "last.safetensors") for job in (alone, two))
    for name in one:
        torch.testing.assert_close(other[name], one[name], rtol=1e-4, atol=1e-5)
    outcomes = [Outcome.model_validate_json((j.folder / "outcome.json").read_bytes()) for j in (alone, two)]
    assert [outcome.workers for outcome in outcomes] == [1, 2]
    assert outcomes[0].steps == outcomes[1].steps == 6


@pytest.mark.timeout(200)
def test_one_worker_of_a_ray_learns_the_very_same_as_one_without(packed_pictures, tmp_path: Path) -> None:
    packed = packed_pictures(problem="classification", train=39)
    here, there = (job_of(packed, tmp_path / name, epochs=2) for name in ("here", "there"))
    lines: list[list[str]] = []
    for job, on_ray in ((here, False), (there, True)):
        done = fit(job, on_ray=on_ray)
        assert done.returncode == 0, done.stderr[-2000:]
        lines.append([line for line in done.stdout.splitlines() if "val loss" in line])
    assert len(lines[0]) == len(lines[1]) == 2
    digests = [(job.folder / "last.safetensors").read_bytes() for job in (here, there)]
    assert digests[0] == digests[1]
    assert not (here.folder / "workers").exists()
    assert (there.folder / "workers" / "0.log").exists()


@pytest.mark.timeout(200)
@pytest.mark.parametrize("on_ray", [False, True])
def test_a_fault_in_a_worker_is_one_line(packed_pictures, tmp_path: Path, on_ray: bool) -> None:
    packed = packed_pictures(problem="classification", train=400)  # so many that it is seen within an epoch
    job = job_of(packed, tmp_path / "run", epochs=90, schedule="constant", lr=100.0, weight_decay=10.0)
    done = fit(job, on_ray=on_ray)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: run trial: the loss is not finite at step")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("recipe", [Recipe(workers=2, gpus_per_worker=1), Recipe(workers=2)])
def test_more_gpus_than_there_are_is_refused(recipe: Recipe) -> None:
    """Also where nobody said so: a GPU that is there must not be left idle without a word."""
    with pytest.raises(RegattaError, match=r"runs.one: 2 workers of 1 GPU each .* there are 1 GPUs"):
        resources_of(recipe, "one", gpus=1)


@pytest.mark.parametrize(
    ("recipe", "gpus", "expected"),
    [
        (Recipe(), 0, (1, 0)),
        (Recipe(), 1, (1, 1)),
        (Recipe(), 4, (4, 1)),
        (Recipe(workers=2), 4, (2, 1)),
        (Recipe(workers=2), 0, (2, 0)),
        (Recipe(workers=2, gpus_per_worker=0), 1, (2, 0)),
        (Recipe(gpus_per_worker=0), 4, (1, 0)),
    ],
)
def test_auto_takes_the_gpus_there_are_else_one_worker(recipe: Recipe, gpus: int, expected) -> None:
    resources = resources_of(recipe, "one", gpus)
    assert (resources.workers, resources.gpus_per_worker) == expected


def test_lines_arrive_in_order_to_the_last_even_without_its_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "0.log").write_text("from an attempt before\n")
    with (
        lines_shown(tmp_path),
        (tmp_path / "0.log").open("a") as first,
        (tmp_path / "1.log").open("a") as other,
    ):
        for i in range(200):
            print(f"line {i}", file=first, flush=True)
            print(f"line {i}", file=other, flush=True)
        other.write("cut o")
    shown = capfd.readouterr().out.splitlines()
    assert [line for line in shown if "|" not in line] == [f"line {i}" for i in range(200)]
    assert [line for line in shown if "|" in line] == [
        *(f"worker 1 | line {i}" for i in range(200)),
        "worker 1 | cut o",
    ]


@pytest.mark.parametrize(
    ("changes", "here", "address", "expected"),
    [
        ({"workers": 4}, 1, "10.0.0.1:6379", 8),
        ({"workers": 4}, 4, "10.0.0.1:6379", 4),
        ({"workers": 4}, 1, "local", 1),
        ({"workers": 4, "gpus_per_worker": 0}, 1, "10.0.0.1:6379", 1),
        ({}, 0, "10.0.0.1:6379", 8),
        ({}, 1, "10.0.0.1:6379", 1),
    ],
)
def test_the_named_rays_gpus_count_where_this_machines_do_not_suffice(
    changes, here: int, address: str, expected: int, tmp_path: Path, packed_pictures, monkeypatch
) -> None:
    @contextmanager
    def connected(*_: object) -> Generator[SimpleNamespace]:
        yield SimpleNamespace(cluster_resources=lambda: {"CPU": 64.0, "GPU": 8.0})

    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(fitting, "connected_ray", connected)
    job = job_of(packed_pictures(problem="classification"), tmp_path / "run", **changes)
    with ExitStack() as connection:
        assert fitting._gpus(job, here, connection) == expected
