"""Settings for one time only: `runs.unet-scenes.lr=0.1` put in the place of what params.yaml says."""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from regatta.errors import RegattaError, nearest


def overridden(params: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """*params* with each `dotted.key=YAML value` of *overrides* put in place; *params* is left alone.

    Raises:
        RegattaError: an override is not of that form, or names a run that does not exist.
    """
    changed = yaml.safe_load(yaml.safe_dump(params))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(key.strip().split(".")):
            raise RegattaError(f"set '{override}': write it as key=value, like defaults.epochs=5")
        _put(changed, key.strip().split("."), _value(text, override), override)
    return changed


def _put(content: dict[str, Any], parts: list[str], value: Any, override: str) -> None:
    """Names of runs may hold dots, so the longest key that exists wins at each step."""
    for length in range(len(parts) - 1, 0, -1):
        below = content.get(".".join(parts[:length]))
        if isinstance(below, dict):
            if parts[:length] == ["runs"] and len(parts) > 2:
                _check_run(below, parts[1:], override)
            return _put(below, parts[length:], value, override)
    if len(parts) > 1 and parts[0] in content:
        raise RegattaError(f"set '{override}': '{parts[0]}' holds a value, not keys")
    # Keys that do not exist yet are made; reading the result as a course refuses those nobody knows.
    for part in parts[:-1]:
        content = content.setdefault(part, {})
    content[parts[-1]] = value
    return None


def _check_run(runs: dict[str, Any], parts: list[str], override: str) -> None:
    if not any(".".join(parts[:length]) in runs for length in range(1, len(parts))):
        raise RegattaError(f"set '{override}': no run '{parts[0]}': {nearest(parts[0], runs)}")


def _value(text: str, override: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # of a date that does not exist
        raise RegattaError(f"set '{override}': the value is not valid YAML") from None
    # YAML 1.1 takes 1e-3 for a word; people mean the number.
    is_number = isinstance(value, str) and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", value)
    return float(value) if is_number else value
