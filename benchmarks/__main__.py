"""Every figure of speed again, one benchmark after the other: `make bench`, or `python -m benchmarks`.

    python -m benchmarks [--mirror DIR] [--camvid DIR] [--only NAME …]

Leave the machine alone meanwhile. DIR of --mirror holds the archives of FashionMNIST and CIFAR-10, that of
--camvid CamVid's folders; without them data of the same kinds is made. Kill trials (`make chaos`) and a GPU
(`python -m benchmarks.gpu`) are asked for by themselves.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence

BENCHMARKS = {
    "loops": ("mirror", "camvid"),
    "variants": ("mirror", "camvid"),
    "packing": ("mirror", "camvid"),
    "evaluation": (),
    "memory": (),
    "checkpoints": (),
    "fixed_costs": (),
    "course": (),
    "drivers": (),
    "many_runs": (),
}
"""Each module, and which options it takes."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run them all, in processes of their own; exit code 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure everything")
    parser.add_argument("--mirror", default="")
    parser.add_argument("--camvid", default="")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=[*BENCHMARKS])
    options = parser.parse_args(argv)
    given = {"mirror": options.mirror, "camvid": options.camvid}
    failed = [name for name in options.only if not _runs(name, given)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def _runs(name: str, given: dict[str, str]) -> bool:
    data = [word for option in BENCHMARKS[name] if given[option] for word in (f"--{option}", given[option])]
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *data], check=False).returncode == 0


if __name__ == "__main__":
    main()
