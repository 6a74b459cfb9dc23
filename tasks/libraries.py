"""The libraries that the steps import, for those who fork steps instead of starting them.

Importing this takes four seconds: torch 1.5, what knows models and metrics 0.7, figures 0.2, MLflow 1.3.
"""

from regatta.engine.uncompiled import leave_compiler_out

# As steps do; before anything that would bring torch's compiler along.
leave_compiler_out()

# ruff: noqa: E402
import segmentation_models_pytorch
from matplotlib.backends import backend_agg
from rich import console, table

from regatta.cluster import fitting
from regatta.engine import evaluating, training
from regatta.reporting import figures, page, samples
from regatta.tracking import sync

LOADED = (
    backend_agg,
    console,
    evaluating,
    figures,
    fitting,
    page,
    samples,
    segmentation_models_pytorch,
    sync,
    table,
    training,
)
"""Rooms of this project are named for what they import: of themselves nothing is kept in a fork."""
