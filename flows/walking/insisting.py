"""Calls to Prefect's server that outlast a restart of it.

A client of Prefect's that has been connected tries again for a minute. A new one, as its functions for
artifacts make at each call, gives up at the first refused connection.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import httpx

Answer = TypeVar("Answer")
PATIENCE_S = 60.0
LOOK_EVERY_S = 1.0


def insist(call: Callable[[], Answer]) -> Answer:
    """What *call* returns, tried again for a minute while the server is not there.

    Raises:
        httpx.TransportError: it still is not there.
    """
    give_up_at_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except httpx.TransportError:
            if time.monotonic() > give_up_at_s:
                raise
            time.sleep(LOOK_EVERY_S)
