"""A project with what the loops train on: real data sets, or made ones of the same sizes and kinds."""

import gzip
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.loops.made import make_camvid, make_cifar, make_fashion
from benchmarks.project import copy_project
from regatta.settings.card import read_card
from tasks.preprocess import preprocess

HERE = Path(__file__).parent
CAMVID_CARD = HERE.parent / "camvid/camvid.yaml"
DATASETS = ("fashion-mnist", "cifar-10", "camvid")


@dataclass(frozen=True)
class Origin:
    """Where data come from; made ones where nothing is named."""

    mirror: Path | None = None
    """Holds fashion-mnist/*.gz and cifar-10/*.tar.gz, as their authors publish them."""
    camvid: Path | None = None
    """Holds train/, trainannot/, val/ and valannot/."""
    images: int = 10_000
    """Made for each split of FashionMNIST and CIFAR-10."""
    pictures: int = 64
    """Made for each split of CamVid."""

    def __str__(self) -> str:
        small = "the real" if self.mirror else f"{self.images} made images in place of"
        large = "the real" if self.camvid else f"{self.pictures} made pictures in place of"
        return f"{small} FashionMNIST and CIFAR-10, and {large} CamVid"


def lay_out(project: Path, origin: Origin) -> Path:
    """A copy of the project at *project* with the runs of `params.yaml` and their data sets, packed."""
    copy_project(project)
    shutil.copytree(HERE.parent, project / "benchmarks", ignore=shutil.ignore_patterns("__pycache__", "*.md"))
    shutil.copyfile(HERE / "params.yaml", project / "params.yaml")
    raw, cards = project / "data/raw", project / "datasets"
    _lay_fashion(raw / "fashion-mnist", origin)
    _lay_cifar(raw / "cifar-10", cards / "cifar-10.yaml", origin)
    _lay_camvid(raw / "camvid", cards / "camvid.yaml", origin)
    for dataset in DATASETS:
        preprocess(read_card(dataset, cards), raw / dataset, project / "data/packed" / dataset)
    return project


def _lay_fashion(raw: Path, origin: Origin) -> None:
    raw.mkdir(parents=True)
    if origin.mirror:
        for archive in (origin.mirror / raw.name).glob("*.gz"):
            (raw / archive.stem).write_bytes(gzip.decompress(archive.read_bytes()))
    else:
        make_fashion(raw, origin.images)
    where_torchvision_looks = raw.parent.parent / "torchvision/FashionMNIST"
    where_torchvision_looks.mkdir(parents=True)
    (where_torchvision_looks / "raw").symlink_to(raw.absolute())


def _lay_cifar(raw: Path, card: Path, origin: Origin) -> None:
    folder = raw / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    if origin.mirror:
        with tarfile.open(next((origin.mirror / raw.name).glob("*.tar.gz"))) as archive:
            archive.extractall(raw, filter="data")
    else:
        make_cifar(folder, origin.images)
    content = yaml.safe_load(card.read_text(encoding="utf-8"))
    train = content["splits"]["train"]
    train["files"] = [name for name in train["files"] if (raw / name).exists()]  # An excerpt has fewer.
    card.write_text(yaml.safe_dump(content), encoding="utf-8")


def _lay_camvid(raw: Path, card: Path, origin: Origin) -> None:
    if origin.camvid:
        raw.symlink_to(origin.camvid.expanduser().absolute())
    else:
        make_camvid(raw, origin.pictures)
    card.write_text(CAMVID_CARD.read_text(encoding="utf-8").replace("PATH", str(raw)), encoding="utf-8")
