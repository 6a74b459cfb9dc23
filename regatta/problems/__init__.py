"""One file per vision problem; PROBLEMS is the only list."""

from regatta.problems.classification import CLASSIFICATION
from regatta.problems.problem import Problem
from regatta.problems.segmentation import SEGMENTATION
from regatta.settings.card import ProblemName

PROBLEMS: dict[ProblemName, Problem] = {
    "classification": CLASSIFICATION,
    "segmentation": SEGMENTATION,
}
