"""Where Regatta keeps what belongs to this machine and not to a result."""

import os
from pathlib import Path


def home() -> Path:
    """Absolute path of the folder for work in flight, servers' databases and links.

    `REGATTA_HOME` when set (an override workspace shares its parent's), else `.regatta` here.
    """
    return Path(os.environ.get("REGATTA_HOME", ".regatta")).absolute()


def project() -> Path:
    """The project's folder: `REGATTA_PROJECT` when set (an override workspace's parent), else this one."""
    return Path(os.environ.get("REGATTA_PROJECT", ".")).absolute()
