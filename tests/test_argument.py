"""Each step takes one name, and says so in one line."""

from types import ModuleType

import pytest

from tasks import download, evaluate, preprocess, report, track, train

STEPS = {download: "DATASET", preprocess: "DATASET", train: "RUN", evaluate: "RUN"}
STEPS |= dict.fromkeys((report, track), "PROBLEM")


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@pytest.mark.parametrize("arguments", [[], ["one", "two"], ["--help"]])
def test_anything_but_one_name_is_refused(
    step: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        step.main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: usage: python -m {step.__name__} {STEPS[step]}\n"
