"""Refusing sizes that leave a network nothing to work on."""

from models.family import InputSpec, SizeError


def require_at_least(smallest_px: int, spec: InputSpec, family: str, reason: str) -> None:
    """Let *spec* pass if both its sides have at least *smallest_px*.

    Raises:
        SizeError: they have not; the message ends with the nearest size that works.
    """
    if min(spec.height_px, spec.width_px) >= smallest_px:
        return
    height_px, width_px = max(spec.height_px, smallest_px), max(spec.width_px, smallest_px)
    raise SizeError(
        f"{family}: {spec.height_px} x {spec.width_px} px is too small, {reason}; "
        f"the nearest good size is {height_px} x {width_px} px"
    )
