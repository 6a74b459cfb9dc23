"""The environment that makes a Ray of this machine a private one."""

import secrets

from regatta.settings.home import home
from regatta.whole import whole_file


def local_ray_environment() -> dict[str, str]:
    """Environment of a Ray of our own: on the loopback address, for those who can read our secret.

    Ray 2.60 listens on the machine's address unless its clusters are turned off by a variable named
    for Windows and macOS, and asks for a token wherever one was ever made in the user's home.
    """
    token = home() / "ray-token"
    if not token.exists():
        with whole_file(token) as partial:
            partial.touch(mode=0o600)
            partial.write_text(secrets.token_hex(32), encoding="utf-8")
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
