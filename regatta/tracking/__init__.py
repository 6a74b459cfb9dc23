"""Journals, scores and weights into MLflow, exactly once. The only room that imports MLflow.

Reading order: `record` (what a run left on disk), `translation` (the same in MLflow's words),
`journal` (its curves), `sync` (what is owed, and paying it), `receipt` (that it was paid), `abandoned` (runs
that nobody is at), `served_model` and `champion` (the model registry), `server` (where MLflow is), `health`
(what the doctor asks). `image_predictor` travels with each model and is not used here.
"""

import os

# MLflow reads these when it is imported, or at each request: no word home, no progress bars, no
# look-out for uv projects, and an answer within a minute from a server that is not there.
_MLFLOW_SETTINGS = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
for _name, _value in _MLFLOW_SETTINGS.items():
    os.environ.setdefault(_name, _value)
