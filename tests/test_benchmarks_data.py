"""The benchmarks of packing, counting and memory run, on next to nothing, and their sides do the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import evaluation, measuring, memory
from benchmarks.packing import __main__ as packing
from benchmarks.packing.cards import CARDS
from benchmarks.packing.pictures import generate_camvid, write_cifar
from benchmarks.packing.sides import DECODERS, SIDES
from benchmarks.packing.steps import steps
from regatta.settings.origin import SPLITS


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where benchmarks leave their pages, instead of among those that are kept."""
    monkeypatch.setattr(measuring, "FOLDER", tmp_path / "pages")
    (tmp_path / "pages").mkdir()
    return tmp_path / "pages"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    generate_camvid(folder / "camvid", share=0.01)
    write_cifar(None, folder / "cifar", share=0.001)
    return folder


@pytest.mark.parametrize("name", CARDS)
def test_packing_and_the_loop_make_the_same_arrays(name: str, pictures: Path, tmp_path: Path) -> None:
    card = CARDS[name]
    raw = pictures / card.name
    files = {split: packing.files_of(card, raw, split) for split in SPLITS}
    for side in ("regatta", "Pillow loop"):
        assert SIDES[side](card, raw, files, tmp_path / side) > 0
    packing.check_same(tmp_path / "regatta", tmp_path / "Pillow loop")
    images = np.load(tmp_path / "Pillow loop/train/images.npy")
    assert images.shape[1:] == (card.image.height_px, card.image.width_px, 3) and images.std() > 10
    sums = {one.side: one.value for one in steps(name, card, raw, 0)}
    assert sums["all of it"] > sums["digest of pixels"]


def test_a_side_tells_its_seconds_in_a_process_of_its_own(pictures: Path, tmp_path: Path) -> None:
    card = CARDS["10,000 PNGs of 32×32"]
    files = {split: packing.files_of(card, pictures / "cifar", split) for split in SPLITS}
    (tmp_path / "files.json").write_text(json.dumps(files))
    side = "decoding, Pillow, processes"
    assert side in DECODERS
    arguments = (side, "10,000 PNGs of 32×32", str(pictures / "cifar"), str(tmp_path / "files.json"), "-")
    assert 0 < packing.run_side(*arguments) < 60


def test_counting_is_measured(pages: Path) -> None:
    evaluation.main(["--pairs", "1", "--batch", "1", "--rounds", "1"])
    (page,) = pages.glob("evaluation_*.md")
    assert "regatta / torchmetrics" in page.read_text()


def test_memory_is_measured(pages: Path) -> None:
    memory.main(["--pairs", "1", "--samples", "10", "--stages", "preprocess"])
    (table,) = pages.glob("memory_*.csv")
    peaks_mb = [float(line.split(",")[3]) for line in table.read_text().splitlines()[1:]]
    assert len(peaks_mb) == 3 and min(peaks_mb) > 10
