"""A mirror of the archive on this machine; asked for the first time, it stops in the middle and waits."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHUNK_BYTES = 2**18
"""What the download asks for at a time."""
LONGEST_WAIT_S = 30


@contextmanager
def serving(folder: Path, pause_after_bytes: int | None) -> Generator[str]:
    """Address of a mirror of what lies in *folder*; it does ranges, as good mirrors do."""
    pauses = [pause_after_bytes] if pause_after_bytes else []
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = (folder / self.path.lstrip("/")).read_bytes()
            begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if begin else 200)
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            if pauses:
                self.wfile.write(content[begin : pauses.pop()])
                self.wfile.flush()
                over.wait(LONGEST_WAIT_S)
            else:
                self.wfile.write(content[begin:])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()
