"""python -m tasks.download D: what the card of D names → data/raw/D, fetched, checked and unpacked."""

from collections.abc import Sequence
from pathlib import Path

from regatta.allocation import keep_freed_memory
from regatta.archives.fetch import fetch, mirrors
from regatta.archives.unpack import unpack
from regatta.errors import one_line_errors
from regatta.formats.digits import write_digits
from regatta.formats.own import copy_own, own_files
from regatta.formats.scenes import write_scenes
from regatta.manifest import write_manifest
from regatta.progress import progress
from regatta.settings.card import Card, read_card
from regatta.settings.home import home
from regatta.settings.origin import SPLITS
from regatta.settings.outputs import RAW
from regatta.whole import whole_folder
from tasks.argument import only_argument


def download(card: Card, raw: Path) -> None:
    """Make, copy or fetch the data set into *raw*, which appears whole.

    Raises:
        RegattaError: a file cannot be had, or is not what the card says.
    """
    with whole_folder(raw) as folder:
        if card.format == "digits":
            write_digits(folder)
        elif card.scenes is not None:
            count = sum(getattr(card.scenes, split) for split in SPLITS)
            write_scenes(card, folder, progress(f"{card.name} painting", count, "scenes"))
        elif card.path is not None:
            files = own_files(card)
            copy_own(card, files, folder, progress(f"{card.name} copying", len(files), "files"))
        else:
            _fetch_all(card, folder)
        write_manifest(folder)


def _fetch_all(card: Card, folder: Path) -> None:
    """Fetch every file first, then unpack; all of them together within the card's bound."""
    archives = [fetch(file, mirrors(card), home() / "downloads") for file in card.files]
    room_bytes = card.unpacked_bytes_max
    for file, archive in zip(card.files, archives, strict=True):
        print(f"{card.name}: unpacking {file.name}", flush=True)
        room_bytes -= unpack(archive, file.name, folder, room_bytes)


def main(argv: Sequence[str] | None = None) -> None:
    """Download the data set named in *argv*."""
    with one_line_errors():
        card = read_card(only_argument(argv, "python -m tasks.download DATASET"))
        keep_freed_memory()  # The next scene is as large as this one.
        download(card, RAW / card.name)


if __name__ == "__main__":
    main()
