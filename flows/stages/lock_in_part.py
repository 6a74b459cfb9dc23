"""dvc.lock, of which only what is about one stage is read and written anew; for flows/stages/patient_dvc.py.

Its text is taken apart by its columns, as DVC 3.67 lays it out. One that is laid out in another way, by hand
or by a merge, is read and written whole, by DVC's own functions.
"""

import re
from collections.abc import Callable, Generator, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.utils.serialize import dumps_yaml, modify_yaml, parse_yaml
from dvc.utils.strictyaml import validate

LOCK = "dvc.lock"
HEAD = "schema: '2.0'\nstages:\n"
ENTRY = re.compile(r"  ([\w@.-]+):\n(?:    .*\n)+")
"""What is about one stage: its name, where it needs no quotes, two columns in, and all else further."""


class Entries(MutableMapping[str, Any]):
    """The stages of a dvc.lock, each of them read when it is asked for.

    Where one cannot be read, *read_whole* is called, which says what is wrong, and in which line.
    """

    def __init__(self, texts: dict[str, str], read_whole: Callable[[], Any]) -> None:
        self._texts, self._read_whole = texts, read_whole
        self._read: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._read:
            self._read[name] = self._content(HEAD + self._texts[name])["stages"][name]
        return self._read[name]

    def _content(self, text: str) -> Any:
        try:
            content = parse_yaml(text, LOCK)
            validate(content, Lockfile.SCHEMA)
        except DvcException:
            return self._read_whole()
        return content

    def __setitem__(self, name: str, entry: Any) -> None:
        self._texts[name] = dumps_yaml({"stages": {name: entry}}).removeprefix("stages:\n")
        self._read[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._texts[name]
        self._read.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def text(self) -> str:
        """All of dvc.lock: what was set stands in the place of what it was before, else at the end."""
        return HEAD + "".join(self._texts.values())


def entries_in(raw: bytes, read_whole: Callable[[], Any]) -> Entries | None:
    """The stages of the dvc.lock that *raw* is; None where it is laid out in another way than DVC's."""
    text = raw.decode(errors="replace")
    found = list(ENTRY.finditer(text, len(HEAD)))
    texts = {entry[1]: entry[0] for entry in found}
    entries = Entries(texts, read_whole)
    return entries if len(entries) == len(found) > 0 and entries.text().encode() == raw else None


def read_in_part(read: Callable[..., tuple[Any, str]]) -> Callable[..., tuple[Any, str]]:
    """*read*, which reads all of a dvc.lock, for those that are laid out in another way than DVC's alone."""

    def read_what_is_asked_for(lock: Any, **how: Any) -> tuple[Any, str]:
        with lock.repo.fs.open(lock.path, "rb") as file:
            raw: bytes = file.read()
        entries = None if how else entries_in(raw, lambda: read(lock)[0])
        return read(lock, **how) if entries is None else ({"schema": "2.0", "stages": entries}, raw.decode())

    return read_what_is_asked_for


@contextmanager
def modify_in_part(path: Any, fs: Any = None) -> Generator[Any]:
    """As DVC's `modify_yaml`; of dvc.lock, only the entries that the block has set are written anew."""
    is_lock = Path(path).name == LOCK and Path(path).exists()
    raw = Path(path).read_bytes() if is_lock else b""

    def read_whole() -> Any:
        return parse_yaml(raw.decode(), path)

    entries = entries_in(raw, read_whole)
    if entries is None:
        with modify_yaml(path, fs=fs) as content:
            yield content
        return
    content: dict[str, Any] = {"schema": "2.0", "stages": entries}
    yield content
    in_part = len(entries) > 0 and content.keys() == {"schema", "stages"} and content["stages"] is entries
    with fs.open(path, "w", encoding="utf-8") as file:
        file.write(entries.text() if in_part else dumps_yaml(content | {"stages": dict(content["stages"])}))
