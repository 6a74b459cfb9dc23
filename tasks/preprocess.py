"""python -m tasks.preprocess D: data/raw/D → data/packed/D, the one form that training reads."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from regatta.errors import RegattaError, one_line_errors, plain
from regatta.formats import open_split
from regatta.formats.source import Source
from regatta.manifest import verify, write_manifest
from regatta.packed.report import data_report, notes
from regatta.packed.schema import Schema
from regatta.packed.statistics import Statistics
from regatta.packed.writer import Advance, pack_splits
from regatta.progress import progress
from regatta.settings.card import Card, read_card
from regatta.settings.origin import SPLITS
from regatta.settings.outputs import PACKED, RAW
from regatta.whole import whole_folder
from tasks.argument import only_argument

NAMED = 5
"""So many unreadable files are named in the error line."""


def preprocess(card: Card, raw: Path, packed: Path) -> None:
    """Decode and pack every split of *card* from *raw* into *packed*, which appears whole.

    Raises:
        RegattaError: the data are not what the card says, or too many samples are unreadable.
    """
    sources = {split: open_split(raw, card, split) for split in SPLITS}
    with whole_folder(packed) as folder:
        statistics = _packed(sources, card, folder)
        report = data_report(card, statistics, {split: source.ignored for split, source in sources.items()})
        (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        schema = _schema(card, statistics)
        (folder / "schema.json").write_text(schema.model_dump_json(indent=1) + "\n", encoding="utf-8")
        write_manifest(folder)
    for line in notes(report):
        print(f"note: {card.name}: {plain(line)}", flush=True)


def _packed(sources: Mapping[str, Source], card: Card, folder: Path) -> dict[str, Statistics]:
    def telling(split: str, count: int) -> Advance:
        return progress(f"{card.name} {split}", count, "images")

    statistics: dict[str, Statistics] = {}
    with closing(pack_splits(sources, card, folder, telling)) as packed:
        for split, found in packed:
            _check_readable(card, split, found)
            statistics[split] = found
    return statistics


def _check_readable(card: Card, split: str, found: Statistics) -> None:
    """Stop when more samples are unreadable than the card allows, or none are left."""
    bad, count = found.unreadable, len(found.unreadable) + len(found.names)
    if not found.names or len(bad) > card.unreadable_share * count:
        named = "; ".join(f"{name} {reason}" for name, reason in bad[:NAMED])
        more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise RegattaError(
            f"{card.name}: {len(bad)} of {count} samples of {split} cannot be read: {named}{more}: mend or "
            f"remove them, or allow a share by 'unreadable_share' in datasets/{card.name}.yaml"
        )


def _schema(card: Card, statistics: dict[str, Statistics]) -> Schema:
    return Schema(
        dataset=card.name,
        problem=card.problem,
        classes=card.classes,
        ignore_label=card.ignore_label,
        channels=card.image.channels,
        height_px=card.image.height_px,
        width_px=card.image.width_px,
        mean=statistics["train"].mean(),
        std=statistics["train"].std(),
        counts={split: len(found.names) for split, found in statistics.items()},
        class_counts={split: found.class_counts for split, found in statistics.items()},
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Preprocess the data set named in *argv*."""
    with one_line_errors():
        card = read_card(only_argument(argv, "python -m tasks.preprocess DATASET"))
        raw = RAW / card.name
        if not raw.is_dir():
            raise RegattaError(f"{raw}: not there; run 'python -m tasks.download {card.name}' first")
        print(f"{raw}: {verify(raw)}", flush=True)
        preprocess(card, raw, PACKED / card.name)


if __name__ == "__main__":
    main()
