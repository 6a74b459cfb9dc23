"""Prefect's own server for one command: who else may stand at its port, and who takes its place."""

import socket
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from flows.processes.kept import EARLY_ENDS
from flows.processes.leashes import Leashes
from flows.serving import embedded
from flows.serving.embedded import LOOK_EVERY_S, Server, answers, embedded_server
from regatta.errors import RegattaError

SERVER = """
import os, socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
while True:
    peer, _ = listener.accept()
    peer.recv(4096)
    peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(str(os.getpid())))
    peer.sendall(str(os.getpid()).encode())
    peer.close()
"""


@contextmanager
def speaking(greeting: bytes) -> Generator[str]:
    """The address of a server that sends *greeting* to everybody and listens to nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(greeting)
                peer.shutdown(socket.SHUT_WR)
                peer.recv(4096)

        greeting_one = threading.Thread(target=greet)
        greeting_one.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/health"
        greeting_one.join()


@pytest.mark.parametrize(
    "greeting", [b"\x00\x00\x18\x04\n", b"", b"220 mail\r\n", b"HTTP/1.1 503 Busy\r\n\r\n"]
)
def test_who_does_not_answer_as_a_server_does_is_none(greeting: bytes) -> None:
    with speaking(greeting) as address:
        assert not answers(address)


def test_who_says_nothing_is_waited_for_but_not_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not answers(f"http://127.0.0.1:{silent.getsockname()[1]}/health", timeout_s=0.2)


@pytest.fixture
def leashes() -> Generator[Leashes]:
    leashes = Leashes()
    yield leashes
    leashes.end_all()


@contextmanager
def serving(
    script: str, folder: Path, leashes: Leashes, monkeypatch: pytest.MonkeyPatch
) -> Generator[Server]:
    """Our keeping of a server, with *script* in the place of Prefect's."""
    path = folder / "server.py"
    path.write_text(script)
    monkeypatch.setenv("REGATTA_HOME", str(folder))
    monkeypatch.setattr(embedded, "_command", lambda at: [sys.executable, str(path), str(at.fileno())])
    with embedded_server(leashes) as server:
        yield server


def test_the_port_is_ours_before_and_between_the_servers(
    tmp_path: Path, leashes: Leashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(SERVER, tmp_path, leashes, monkeypatch) as server:
        address = server.ready()
        port = int(address.removesuffix("/api").rpartition(":")[2])
        [first] = _servers_of(tmp_path)
        first.kill()
        first.wait()
        with socket.socket() as thief, pytest.raises(OSError, match="in use"):
            thief.bind(("127.0.0.1", port))
        assert answers(address, timeout_s=30)  # Asked while nobody is there: waits for the next one.
        [second] = _servers_of(tmp_path)
        assert second.pid != first.pid
    assert not answers(address)
    assert not _servers_of(tmp_path)


def _servers_of(folder: Path) -> list[psutil.Process]:
    below = [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]
    return [one for one in below if one.cmdline()[1:2] == [str(folder / "server.py")]]


def test_a_server_that_only_ends_again_is_not_waited_for(
    tmp_path: Path, leashes: Leashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = f"import pathlib\nwith pathlib.Path({str(tmp_path / 'starts')!r}).open('a') as out: out.write('x')"
    with serving(dies, tmp_path, leashes, monkeypatch) as server:
        with pytest.raises(RegattaError, match="ended by itself; its last lines say why"):
            server.ready()
        began_s = time.monotonic()
        while not answers(server.api_url, timeout_s=60) and (tmp_path / "starts").read_text() != "xxx":
            time.sleep(LOOK_EVERY_S)
        time.sleep(2 * LOOK_EVERY_S)
        assert not answers(server.api_url, timeout_s=60)
        assert time.monotonic() - began_s < 30  # Refused, where an open socket would let it wait.
    assert len((tmp_path / "starts").read_text()) == EARLY_ENDS
