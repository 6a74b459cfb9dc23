"""Everything we stand on can be imported, together, in a process that may crash or hang."""

import subprocess
import sys
from collections.abc import Iterator, Sequence

from flows.examining.installation import REINSTALL
from regatta.findings import Finding, examine, fault, fine

IMPORT_TIMEOUT_S = 180.0
SLOW_S = 0.5
"""What takes longer is told by name."""
PACKAGES = (
    *("numpy", "pandas", "pydantic", "yaml", "PIL", "requests", "rich", "jinja2", "matplotlib", "filelock"),
    *("torch", "torchvision", "timm", "segmentation_models_pytorch", "safetensors.torch"),
    *("sklearn", "ray.train.torch", "mlflow", "dvc.repo", "prefect", "prefect.server.api.server"),
)
"""In an order in which each brings little that the ones before have not."""

_IMPORT_EACH = """
import importlib, sys, time, warnings
warnings.simplefilter("ignore")
for name in sys.argv[1:]:
    began_s = time.perf_counter()
    importlib.import_module(name)
    print(f"imported {name} {time.perf_counter() - began_s:.1f}", flush=True)
"""


def imports() -> Iterator[Finding]:
    return imported(PACKAGES, IMPORT_TIMEOUT_S)


def imported(names: Sequence[str], timeout_s: float) -> Iterator[Finding]:
    """One process for all, since most of them share the slow ones; a new one after each that breaks."""
    seconds: dict[str, float] = {}
    rest = names
    while rest:
        done, complaint = _import(rest, timeout_s)
        seconds |= done
        if len(done) < len(rest):
            yield fault(f"{rest[len(done)]} cannot be imported: {complaint}", REINSTALL)
        rest = rest[len(done) + 1 :]
    slow = ", ".join(f"{name} {took_s:.1f} s" for name, took_s in seconds.items() if took_s >= SLOW_S)
    yield fine(f"{len(seconds)} of {len(names)} imported in {sum(seconds.values()):.1f} s ({slow})")


def _import(names: Sequence[str], timeout_s: float) -> tuple[dict[str, float], str]:
    """Seconds for each of *names* up to the first that breaks, and what that one said."""
    command = [sys.executable, "-c", _IMPORT_EACH, *names]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            output, errors = process.communicate(timeout=timeout_s)
            complaint = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            complaint = f"not done after {timeout_s:.0f} s"
    lines = [line.split() for line in output.splitlines() if line.startswith("imported ")]
    return {name: float(took_s) for _, name, took_s in lines}, complaint


CHECKS = (imports,)

if __name__ == "__main__":
    examine(CHECKS, fix="--fix" in sys.argv)
