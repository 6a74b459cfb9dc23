"""requirements.lock: hashed, without addresses, and everything in it that we use imports together."""

import re
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parent.parent / "requirements.lock"
USED = (
    "torch, torchvision, ray.train, prefect.server, prefect.server.api.server, dvc.repo, mlflow.pyfunc,"
    "pandas, numpy, pydantic, yaml, safetensors, segmentation_models_pytorch, timm, sklearn,"
    "requests, PIL, rich, jinja2, matplotlib"
)


def test_every_requirement_is_pinned_and_hashed() -> None:
    pins = re.findall(
        r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==\S+(?: ;[^\\]*)? \\\n    --hash", LOCK.read_text(), re.M
    )
    lines = re.findall(r"^[a-z0-9].*", LOCK.read_text(), re.M)
    assert len(pins) == len(lines) > 100


def test_it_names_no_address() -> None:
    assert not re.search(r"https?://|^--(index|extra)", LOCK.read_text(), re.M)


def test_everything_imports_together() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", f"import {USED}"], check=True, timeout=240)


def test_lower_bounds_stand_above_known_holes() -> None:
    text = LOCK.read_text()
    for name, bound in {"torch": (2, 10), "ray": (2, 54), "prefect": (3, 6, 22), "mlflow": (3, 11)}.items():
        found = re.search(rf"^{name}==([\d.]+)", text, re.M)
        assert found, name
        assert tuple(map(int, found[1].split("."))) >= bound
