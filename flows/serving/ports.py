"""The ports of 127.0.0.1 that `make services` and `make ui` listen at."""

import argparse
import errno
import socket
from dataclasses import dataclass

from regatta.errors import RegattaError


@dataclass(frozen=True)
class Ports:
    """Where each server listens on 127.0.0.1."""

    prefect: int = 4200
    mlflow: int = 5000
    ray: int = 6390
    """Not Ray's usual 6379: another Ray of this machine is left alone."""


def port_number(text: str) -> int:
    """A port as it is written on a command line, for argparse."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 65535, found '{text}'")
    return int(text)


def check_free(name: str, port: int) -> None:
    """Make sure that nothing listens at *port* yet.

    Raises:
        RegattaError: something does; the line names the option that chooses another port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as fault:
            is_taken = fault.errno == errno.EADDRINUSE
            what = (
                "is taken: end what listens there, or" if is_taken else f"cannot be had ({fault.strerror}):"
            )
            raise RegattaError(f"port {port} of 127.0.0.1 {what} choose another: --{name}-port") from None


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment; another may take it before its use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
