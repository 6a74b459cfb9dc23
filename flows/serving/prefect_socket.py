"""Prefect's server at a socket that it is handed: `python -m flows.serving.prefect_socket NUMBER`.

As Prefect starts a temporary one of its own, but that one looks for a port itself.
"""

import socket
import sys

from prefect.server.api.server import create_app
from uvicorn import Config, Server


def main() -> None:
    """Serve until a signal; exit code 1 when it could not start."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    server = Server(Config(create_app, factory=True, log_level="error", lifespan="on"))
    server.run(sockets=[listener])
    sys.exit(0 if server.started else 1)


if __name__ == "__main__":
    main()
