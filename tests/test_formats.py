"""What lies in data/raw/D comes out as samples: the right pixels, labels, names and splits."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from regatta.errors import RegattaError
from regatta.formats import FORMATS, open_split
from regatta.formats.digits import write_digits
from regatta.formats.folders import list_images
from regatta.formats.own import own_folder
from regatta.settings.card import Card, card_names, read_card
from regatta.settings.origin import PLACES, SPLITS
from regatta.settings.reading import parse

RNG_IMAGES = np.random.default_rng(0).integers(0, 256, (40, 5, 6), np.uint8)
LABELS = np.arange(40, dtype=np.uint8) % 2


FETCHED = {"files": [{"name": "x.zip", "sha256": 64 * "0", "size_bytes": 1}]}
ORIGINS: dict[str, Any] = {"digits": {}, "idx": FETCHED, "cifar-binary": FETCHED}


def make_card(format_name: str, splits: dict[str, Any], **more: Any) -> Card:
    content = {
        "name": "d",
        "title": "t",
        "problem": "segmentation" if format_name == "mask-folder" else "classification",
        "format": format_name,
        "licence": "l",
        "citation": "c",
        "classes": ["a", "b"],
        "image": {"height_px": 4, "width_px": 4, "channels": 1},
        "splits": splits,
    }
    return parse(Card, content | ORIGINS.get(format_name, {"path": "x"}) | more, "card")


def test_every_format_has_a_reader_and_places() -> None:
    assert FORMATS.keys() == PLACES.keys()


@pytest.mark.parametrize("name", card_names())
def test_the_projects_cards_are_whole(name: str) -> None:
    card = read_card(name)
    assert card.licence and card.citation and set(card.splits) == set(SPLITS)
    assert all(file.size_bytes for file in card.files)
    assert all(address.startswith("http") for address in card.mirrors) and bool(card.files) == bool(
        card.mirrors
    )


def test_digits_are_those_of_scikit_learn(tmp_path: Path) -> None:
    write_digits(tmp_path)
    card = make_card(
        "digits",
        {"train": {}, "val": {"fraction": 0.15}, "test": {"fraction": 0.2}},
        classes=[str(digit) for digit in range(10)],
    )
    digits: Any = load_digits()
    seen: list[str] = []
    for split in SPLITS:
        source = open_split(tmp_path, card, split)
        for at, name in enumerate(source.names):
            number = int(name.removeprefix("digit-"))
            assert np.abs(source.read(at).image[..., 0] - digits.images[number] * 255 / 16).max() <= 0.5
            assert source.labels is not None and source.labels[at] == digits.target[number]
        seen += source.names
    assert len(seen) == len(set(seen)) == 1797


def idx_bytes(array: np.ndarray[Any, Any]) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


IDX_SPLITS = {
    "train": {"images": "i", "labels": "l"},
    "val": {"fraction": 0.25},
    "test": {"images": "i", "labels": "l"},
}


def test_idx(tmp_path: Path) -> None:
    (tmp_path / "i").write_bytes(idx_bytes(RNG_IMAGES))
    (tmp_path / "l").write_bytes(idx_bytes(LABELS))
    source = open_split(tmp_path, make_card("idx", IDX_SPLITS), "test")
    assert len(source) == 40 and source.labels is not None
    assert np.array_equal(source.labels, LABELS)
    assert np.array_equal(source.read(39).image[..., 0], RNG_IMAGES[39])


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (b"", idx_bytes(LABELS), "i: not an idx file"),
        (b"\0\0\x0d\x01\0\0\0\0", idx_bytes(LABELS), "i: not an idx file"),
        (
            idx_bytes(RNG_IMAGES)[:-1],
            idx_bytes(LABELS),
            "i: its header promises 1200 bytes of data, found 1199",
        ),
        (idx_bytes(RNG_IMAGES), idx_bytes(LABELS[:39]), "l: 39 labels for 40 images"),
        (idx_bytes(RNG_IMAGES), idx_bytes(LABELS + 1), "l: sample 1 has label 2; .* has classes 0-1"),
        (idx_bytes(LABELS), idx_bytes(LABELS), "i: images of shape"),
        (idx_bytes(RNG_IMAGES[:0]), idx_bytes(LABELS[:0]), "split 'test' has no samples"),
    ],
)
def test_bad_idx(tmp_path: Path, images: bytes, labels: bytes, words: str) -> None:
    (tmp_path / "i").write_bytes(images)
    (tmp_path / "l").write_bytes(labels)
    with pytest.raises(RegattaError, match=words):
        open_split(tmp_path, make_card("idx", IDX_SPLITS), "test")


def cifar_card(**more: Any) -> Card:
    splits = {"train": {"files": ["1.bin", "2.bin"]}, "val": {"fraction": 0.2}, "test": {"files": ["1.bin"]}}
    return make_card("cifar-binary", splits, image={"height_px": 32, "width_px": 32}, **more)


def test_cifar_binary(tmp_path: Path) -> None:
    """A record is its label, then the red plane, the green, the blue."""
    planes = np.random.default_rng(0).integers(0, 256, (10, 3, 32, 32), np.uint8)
    records = np.concatenate([LABELS[:10, None], planes.reshape(10, -1)], axis=1)
    (tmp_path / "1.bin").write_bytes(records[:4].tobytes())
    (tmp_path / "2.bin").write_bytes(records[4:].tobytes())
    train, val = (open_split(tmp_path, cifar_card(), split) for split in SPLITS[:2])
    assert len(train) == 8 and len(val) == 2
    numbers = [int(name[6:]) + (4 if name[0] == "2" else 0) for name in train.names]
    for at, number in enumerate(numbers):
        assert np.array_equal(train.read(at).image, planes[number].transpose(1, 2, 0))
        assert train.labels is not None and train.labels[at] == LABELS[number]
    (tmp_path / "2.bin").write_bytes(records[4:].tobytes()[:-1])
    with pytest.raises(RegattaError, match=r"2\.bin: .* not whole records of 3073"):
        open_split(tmp_path, cifar_card(), "train")


def test_fractions_are_disjoint_stratified_and_fixed(tmp_path: Path) -> None:
    labels = np.repeat(np.array([0, 1], np.uint8), [200, 40])
    images = np.zeros((240, 2, 2), np.uint8)
    (tmp_path / "i").write_bytes(idx_bytes(images))
    (tmp_path / "l").write_bytes(idx_bytes(labels))
    splits = {"train": IDX_SPLITS["train"], "val": {"fraction": 0.1}, "test": {"fraction": 0.25}}

    def names(seed: int) -> dict[str, tuple[str, ...]]:
        card = make_card("idx", splits, split_seed=seed)
        sources = {split: open_split(tmp_path, card, split) for split in SPLITS}
        counts = {split: np.bincount(source.labels).tolist() for split, source in sources.items()}
        assert counts == {"train": [130, 26], "val": [20, 4], "test": [50, 10]}
        return {split: source.names for split, source in sources.items()}

    first = names(1)
    assert len({name for split in first.values() for name in split}) == 240
    assert names(1) == first and names(2) != first


def test_a_small_class_gives_to_every_split_while_training_keeps_one(tmp_path: Path) -> None:
    labels = np.repeat(np.array([0, 1], np.uint8), [3, 1])
    (tmp_path / "i").write_bytes(idx_bytes(np.zeros((4, 2, 2), np.uint8)))
    (tmp_path / "l").write_bytes(idx_bytes(labels))
    splits = {"train": IDX_SPLITS["train"], "val": {"fraction": 0.1}, "test": {"fraction": 0.1}}
    card = make_card("idx", splits)
    found = {split: open_split(tmp_path, card, split).labels for split in SPLITS}
    assert {split: list(labels) for split, labels in found.items() if labels is not None} == {
        "train": [0, 1],
        "val": [0],
        "test": [0],
    }


def folder_card() -> Card:
    return make_card(
        "image-folder",
        {"train": {"folder": "."}, "val": {"fraction": 0.2}, "test": {"folder": "."}},
    )


def write_images(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((3, 3), number, np.uint8)).save(root / name)


def test_image_folder(tmp_path: Path) -> None:
    write_images(tmp_path, "b/1.png", "a/deep/2.png", "a/3.PNG", "a/.hidden.png", "loose.png")
    (tmp_path / "a/notes.txt").write_text("no image")
    source = open_split(tmp_path, folder_card(), "test")
    assert source.names == ("a/3.PNG", "a/deep/2.png", "b/1.png")
    assert source.labels is not None and source.labels.tolist() == [0, 0, 1]
    assert [int(source.read(at).image[0, 0, 0]) for at in range(3)] == [2, 1, 0]
    assert sorted(source.ignored) == ["a/notes.txt", "loose.png"]


def test_empty_class_folder(tmp_path: Path) -> None:
    write_images(tmp_path, "a/1.png")
    (tmp_path / "b").mkdir()
    with pytest.raises(RegattaError, match=r"b: the folder of class 'b' has no images"):
        open_split(tmp_path, folder_card(), "train")


def test_missing_class_folder(tmp_path: Path) -> None:
    write_images(tmp_path, "a/1.png")
    with pytest.raises(RegattaError, match=r"b: the folder of class 'b' is missing"):
        open_split(tmp_path, folder_card(), "train")


def test_folder_of_no_class(tmp_path: Path) -> None:
    write_images(tmp_path, "a/1.png", "b/1.png", "bb/1.png")
    with pytest.raises(
        RegattaError, match=r"bb: not among the classes of datasets/d\.yaml; did you mean 'b'\?"
    ):
        open_split(tmp_path, folder_card(), "train")


def test_mask_without_image_is_passed_over(tmp_path: Path) -> None:
    write_images(tmp_path, "i/1.png", "m/1.png", "m/2.png")
    splits = {split: {"images": "i", "masks": "m"} for split in SPLITS}
    source = open_split(tmp_path, make_card("mask-folder", splits), "train")
    assert source.names == ("i/1.png",) and source.ignored == ("m/2.png",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"splits": {"train": {}, "val": {"fraction": 0.1}, "test": {"fraction": 0.1}}},
            "takes images and labels",
        ),
        ({"splits": IDX_SPLITS | {"val": {"fraction": 0.1, "folder": "x"}}}, "takes images and labels"),
        ({"splits": {"train": IDX_SPLITS["train"], "val": {"fraction": 0.1}}}, "'test' is missing"),
        ({"splits": IDX_SPLITS | {"train": {"fraction": 0.1}}}, "a fraction of itself"),
        (
            {"splits": {"train": IDX_SPLITS["train"], "val": {"fraction": 0.5}, "test": {"fraction": 0.5}}},
            "leave nothing to train on",
        ),
        ({"files": []}, "either 'path'"),
        ({"files": [], "path": "x"}, "'path' goes with image-folder and mask-folder"),
        ({"problem": "segmentation"}, "does not hold segmentation"),
        ({"classes": ["a", "a"]}, "only once"),
        ({"ignore_label": 1}, "also the index of a class"),
        ({"scenes": {"train": 1, "val": 1, "test": 1}}, "'scenes' goes with"),
    ],
)
def test_cards_that_do_not_fit_together(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RegattaError, match=words):
        make_card("idx", **({"splits": IDX_SPLITS} | change))


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "one.png").touch()
    (tmp_path / "raw" / "train").mkdir(parents=True)
    (tmp_path / "raw" / "train" / "red").symlink_to(tmp_path / "elsewhere")
    names, ignored = list_images(tmp_path / "raw", "train")
    assert (list(names), ignored) == (["train/red/one.png"], [])


def test_a_link_that_leads_back_is_refused(tmp_path: Path) -> None:
    for one, other in ("ab", "ba"):
        (tmp_path / one).mkdir()
        (tmp_path / one / "next").symlink_to(tmp_path / other)
    with pytest.raises(RegattaError, match="a/next/next: leads back to a folder that it lies in"):
        list_images(tmp_path, "a")


@pytest.mark.parametrize("path", ["mine", "~nobody-of-this-name/x"])
def test_own_data_lie_in_the_project_also_for_a_workspace_of_it(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("REGATTA_PROJECT", str(tmp_path))
    card = read_card("digits").model_copy(update={"path": path})
    if path == "mine":
        assert own_folder(card) == tmp_path / "mine"
    else:
        with pytest.raises(RegattaError, match=r"path: no such folder: .*/~nobody-of-this-name/x"):
            own_folder(card)
