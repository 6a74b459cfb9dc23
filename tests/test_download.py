"""Fetching: mirrors, resuming, checksums, safe unpacking, own folders; nothing half-written."""

import gzip
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from regatta.errors import RegattaError
from regatta.settings.card import read_card
from tasks import download
from tests.made_archives import tar

PAYLOAD = bytes(range(256)) * 4000


@dataclass
class Server:
    """A mirror on this machine, with the faults that a test gives it."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    break_after: int | None = None
    """The first answer stops after so many bytes."""
    does_ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range") if state.does_ranges else None
            state.asked.append((self.path, self.headers.get("Range")))
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            if begin >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            end, state.break_after = state.break_after, None
            self.wfile.write(content[begin:end])

        def log_message(self, format: str, *args: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    state.address = f"http://127.0.0.1:{httpd.server_port}"
    yield state
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGATTA_MIRROR", raising=False)
    monkeypatch.delenv("REGATTA_HOME", raising=False)
    (tmp_path / "datasets").mkdir()
    return tmp_path


def write_card(content: bytes, file: str = "a.bin", mirrors: tuple[str, ...] = (), **more: Any) -> None:
    card = {
        "title": "t",
        "problem": "classification",
        "format": "idx",
        "licence": "l",
        "citation": "c",
        "classes": ["a", "b"],
        "image": {"height_px": 4, "width_px": 4, "channels": 1},
        "splits": {
            "train": {"images": "i", "labels": "l"},
            "val": {"fraction": 0.1},
            "test": {"fraction": 0.1},
        },
        "mirrors": list(mirrors),
        "files": [{"name": file, "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}],
    }
    Path("datasets/d.yaml").write_text(yaml.safe_dump(card | more))


def expect_one_line(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    """The stage ends with 2 and one line that has *words*; data/raw holds nothing, not even hidden."""
    with pytest.raises(SystemExit) as end:
        download.main(["d"])
    message = capsys.readouterr().err
    assert end.value.code == 2
    assert message.count("\n") == 1 and all(word in message for word in words), message
    assert not Path("data/raw").exists() or not list(Path("data/raw").iterdir())


def test_file_mirror_is_tried_before_the_cards(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "mirror/d").mkdir(parents=True)
    (project / "mirror/d/a.bin").write_bytes(PAYLOAD)
    write_card(PAYLOAD, mirrors=("http://127.0.0.1:9",))
    monkeypatch.setenv("REGATTA_MIRROR", f"file://{project}/mirror/")
    download.main(["d"])
    assert Path("data/raw/d/a.bin").read_bytes() == PAYLOAD
    assert [path.name for path in Path("data/raw").iterdir()] == ["d"]


def test_next_mirror_serves_what_the_first_has_not(server: Server) -> None:
    server.files["/good/a.bin"] = PAYLOAD
    write_card(PAYLOAD, mirrors=(f"{server.address}/none", f"{server.address}/good/"))
    download.main(["d"])
    assert [path for path, _ in server.asked] == ["/none/a.bin", "/good/a.bin"]
    assert Path("data/raw/d/a.bin").read_bytes() == PAYLOAD


def test_broken_connection_goes_on_where_it_stopped(server: Server) -> None:
    server.files["/a.bin"], server.break_after = PAYLOAD, 600_000
    write_card(PAYLOAD, mirrors=(server.address,))
    download.main(["d"])
    (_, first), (_, second) = server.asked
    assert first is None and second is not None
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= 600_000
    assert Path("data/raw/d/a.bin").read_bytes() == PAYLOAD


def test_killed_download_goes_on_in_the_next_process(server: Server) -> None:
    server.files["/a.bin"] = PAYLOAD
    write_card(PAYLOAD, mirrors=(server.address,))
    partial = Path(f".regatta/downloads/{hashlib.sha256(PAYLOAD).hexdigest()}-a.bin.partial")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(PAYLOAD[:777])
    download.main(["d"])
    assert server.asked == [("/a.bin", "bytes=777-")]
    assert Path("data/raw/d/a.bin").read_bytes() == PAYLOAD


@pytest.mark.parametrize("rest", [b"wrong", b"wrong" * len(PAYLOAD)])
def test_what_a_worse_mirror_left_is_thrown_away(server: Server, rest: bytes) -> None:
    server.files["/a.bin"] = PAYLOAD
    write_card(PAYLOAD, mirrors=(server.address,))
    partial = Path(f".regatta/downloads/{hashlib.sha256(PAYLOAD).hexdigest()}-a.bin.partial")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(rest)
    download.main(["d"])
    assert Path("data/raw/d/a.bin").read_bytes() == PAYLOAD


def test_server_without_ranges_starts_over(server: Server) -> None:
    server.files["/a.bin"], server.break_after, server.does_ranges = PAYLOAD, 600_000, False
    write_card(PAYLOAD, mirrors=(server.address,))
    download.main(["d"])
    assert Path("data/raw/d/a.bin").read_bytes() == PAYLOAD


def test_fetched_once_is_not_fetched_again(server: Server) -> None:
    server.files["/a.bin"] = PAYLOAD
    write_card(PAYLOAD, mirrors=(server.address,))
    download.main(["d"])
    download.main(["d"])
    assert len(server.asked) == 1


def test_truncated_file_names_sizes(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.files["/a.bin"] = PAYLOAD[:1000]
    write_card(PAYLOAD, mirrors=(server.address,))
    expect_one_line(capsys, "a.bin", str(len(PAYLOAD)), "found 1000")


def test_altered_file_names_checksums_and_is_forgotten(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    altered = b"x" + PAYLOAD[1:]
    server.files["/a.bin"] = altered
    write_card(PAYLOAD, mirrors=(server.address,))
    expected, found = (hashlib.sha256(content).hexdigest() for content in (PAYLOAD, altered))
    expect_one_line(capsys, "a.bin", expected, found)
    server.files["/a.bin"] = PAYLOAD
    download.main(["d"])
    assert Path("data/raw/d/a.bin").read_bytes() == PAYLOAD


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    write_card(PAYLOAD, mirrors=("http://127.0.0.1:9", "file:///nowhere", "ftp://example"))
    expect_one_line(
        capsys, "127.0.0.1:9: no connection", "file:///nowhere: not there", "ftp://example: neither"
    )


def test_failed_download_leaves_the_former_data(capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/raw/d").mkdir(parents=True)
    Path("data/raw/d/kept").write_text("former")
    write_card(PAYLOAD, mirrors=("file:///nowhere",))
    with pytest.raises(SystemExit):
        download.main(["d"])
    assert [path.name for path in Path("data/raw").iterdir()] == ["d"]
    assert Path("data/raw/d/kept").read_text() == "former"


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def serve_archive(server: Server, content: bytes, file: str, **more: Any) -> None:
    server.files[f"/{file}"] = content
    write_card(content, file, (server.address,), **more)


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (member("../../escaped"), "would leave"),
        (member("/tmp/escaped"), "would leave"),
        (member("a/../../escaped"), "would leave"),
        (member("link", tarfile.SYMTYPE, "/etc/passwd"), "link or a device"),
        (member("hard", tarfile.LNKTYPE, "../x"), "link or a device"),
        (member("device", tarfile.CHRTYPE), "link or a device"),
        (member("pipe", tarfile.FIFOTYPE), "link or a device"),
        (member("fine"), "two members"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_tar_that_escapes(
    server: Server, capsys: pytest.CaptureFixture[str], bad: tarfile.TarInfo, word: str
) -> None:
    archive = tar((member("fine"), b"1"), (bad, b""))
    serve_archive(server, archive, "a.tar.gz")
    expect_one_line(capsys, "a.tar.gz", repr(bad.name), word)
    assert not list(Path().rglob("escaped"))


def test_zip_that_escapes(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as pack:
        pack.writestr("../escaped", b"1")
    serve_archive(server, buffer.getvalue(), "a.zip")
    expect_one_line(capsys, "a.zip", "'../escaped'", "would leave")


def test_zip_with_a_link(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    buffer = io.BytesIO()
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(buffer, "w") as pack:
        pack.writestr(link, "/etc/passwd")
    serve_archive(server, buffer.getvalue(), "a.zip")
    expect_one_line(capsys, "a.zip", "'link'", "link or a device")


@pytest.mark.parametrize("file", ["a.tar.gz", "a.gz", "a.zip"])
def test_bomb_is_stopped_at_the_bound(server: Server, capsys: pytest.CaptureFixture[str], file: str) -> None:
    zeros, buffer = bytes(5_000_000), io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("z", zeros)
    content = {
        "a.tar.gz": tar((member("z"), zeros)),
        "a.gz": gzip.compress(zeros),
        "a.zip": buffer.getvalue(),
    }
    serve_archive(server, content[file], file, unpacked_bytes_max=1_000_000)
    expect_one_line(capsys, file, "unpacked_bytes_max")


@pytest.mark.parametrize("file", ["a.tar.gz", "a.gz", "a.zip"])
def test_damaged_archive(server: Server, capsys: pytest.CaptureFixture[str], file: str) -> None:
    serve_archive(server, gzip.compress(PAYLOAD)[:-20], file)
    expect_one_line(capsys, file, "damaged archive")


def test_good_archives_unpack(server: Server) -> None:
    archive = tar((member("folder", tarfile.DIRTYPE), b""), (member("folder/file.bin"), b"12"))
    serve_archive(server, archive, "a.tar.gz")
    download.main(["d"])
    assert Path("data/raw/d/folder/file.bin").read_bytes() == b"12"
    serve_archive(server, gzip.compress(b"34"), "b.gz")
    download.main(["d"])
    assert {path.name for path in Path("data/raw/d").iterdir()} == {"b", ".manifest.json"}


def own_card(**splits: Any) -> None:
    write_card(
        b"", format="image-folder", files=[], path="own", classes=["a", "b"], splits=splits
    )  # fmt: skip


def test_own_folder_is_copied_as_far_as_splits_name_it() -> None:
    for name in ("train/a/1.png", "train/b/2.png", "other/a/3.png", "train/.hidden/4.png"):
        Path("own", name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(Path("own", name))
    own_card(train={"folder": "train"}, val={"fraction": 0.1}, test={"fraction": 0.1})
    download.main(["d"])
    copied = sorted(path.relative_to("data/raw/d").as_posix() for path in Path("data/raw/d").rglob("*.png"))
    assert copied == ["train/a/1.png", "train/b/2.png"]


def test_own_folder_missing(capsys: pytest.CaptureFixture[str]) -> None:
    own_card(train={"folder": "train"}, val={"fraction": 0.1}, test={"fraction": 0.1})
    expect_one_line(capsys, "datasets/d.yaml", "path", "own")
    Path("own").mkdir()
    expect_one_line(capsys, "own/train", "no such folder")


@pytest.mark.parametrize("place", ["../x", "/etc", "a/../../b", ""])
def test_card_cannot_name_places_outside(place: str) -> None:
    own_card(train={"folder": place}, val={"fraction": 0.1}, test={"fraction": 0.1})
    with pytest.raises(RegattaError, match=r"splits\.train\.folder"):
        read_card("d")


@pytest.mark.parametrize("name", ["../d", "/etc/passwd", "a/b", "", "Ü"])
def test_dataset_name_cannot_leave_the_project(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        download.main([name])
    assert end.value.code == 2 and "data set name" in capsys.readouterr().err


def test_file_name_cannot_leave_the_downloads() -> None:
    write_card(b"1", file="../a.bin")
    with pytest.raises(RegattaError, match=r"files\.0\.name"):
        read_card("d")
