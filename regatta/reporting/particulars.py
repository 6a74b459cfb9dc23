"""What was run, on what, where and with which settings: a run's small print."""

from regatta.reporting.columns import compact, duration
from regatta.reporting.result import RunResult


def facts(result: RunResult) -> list[tuple[str, str]]:
    """What was run, on what and where, as label and text."""
    record, timings = result.record, result.timings
    size = f"{record.input.height_px}×{record.input.width_px}, {record.input.channels} channels"
    versions = ", ".join(f"{name} {version}" for name, version in timings.versions.items())
    found = [
        ("Family", result.run.family),
        ("Data set", f"{result.run.dataset}, images of {size}"),
        ("Best epoch", f"{record.best_epoch} of {record.epochs} ({record.steps:,} steps)"),
        ("Trained for", f"{duration(timings.train_s)}{_speed(result)}"),
        ("Hardware", _hardware(result)),
        ("Versions", versions),
        ("Git commit", timings.git_commit or ""),
        ("Data digest", record.data_digest),
        ("Settings digest", record.settings_digest),
        ("Source digest", record.source_digest),
        ("Key of the run", record.key),
    ]
    return [(label, text) for label, text in found if text]


def _speed(result: RunResult) -> str:
    timings = result.timings
    speed = f", {compact(timings.samples_per_s)} samples/s" if timings.samples_per_s else ""
    share = timings.data_wait_share
    return speed + (f", {share:.1%} of it waiting for data" if share is not None else "")


def _hardware(result: RunResult) -> str:
    hardware, workers = result.timings.hardware, result.timings.workers
    told = hardware if isinstance(hardware, str) else ", ".join(f"{k} {v}" for k, v in hardware.items())
    crew = f"{workers} worker{'s' if workers != 1 else ''}" if workers else ""
    return ", ".join(part for part in (told, result.timings.device, crew) if part)


def settings(result: RunResult) -> list[tuple[str, str]]:
    """Every setting as a dotted name and its value; the family's own options first."""
    options = {f"options.{key}": value for key, value in result.record.options.items()}
    flat: dict[str, object] = {}
    for key, value in result.record.settings.model_dump().items():
        flat |= (
            {f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value}
        )
    return [(key, _write(value)) for key, value in (options | flat).items()]


def _write(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
