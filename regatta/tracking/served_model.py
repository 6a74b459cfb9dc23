"""A run's weights as an MLflow model that loads anywhere, without pickle."""

import json
import shutil
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Run
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import ColSpec, DataType, Schema, TensorSpec

from regatta.settings.home import home
from regatta.tracking.record import RunRecord
from regatta.tracking.translation import identity, parameters

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own type hints
    import mlflow.pyfunc

PREDICTOR = Path(__file__).with_name("image_predictor.py")
FAMILIES_FOLDER = Path(__file__).parents[2] / "models"
DISTRIBUTIONS = (
    *("mlflow", "numpy", "pandas", "pillow", "pydantic", "safetensors"),
    *("segmentation-models-pytorch", "timm", "torch", "torchvision"),
)
"""What a served model needs. Said here, for MLflow would load each model to find out."""
EXAMPLE_PX = 32


def ensure_model(client: MlflowClient, run_id: str, record: RunRecord) -> LoggedModel:
    """The run's model in MLflow: found, or finished, or made."""
    run = client.get_run(run_id)
    model = _find(client, run) or _create(client, run, record)
    if model.status != LoggedModelStatus.READY:
        _upload(client, model, record)
        model = client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    if run.outputs is None or not run.outputs.model_outputs:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, record.trained.steps)])
    return model


def _find(client: MlflowClient, run: Run) -> LoggedModel | None:
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    return found[0] if found else None


def _create(client: MlflowClient, run: Run, record: RunRecord) -> LoggedModel:
    return client.create_logged_model(
        run.info.experiment_id,
        name=record.name,
        source_run_id=run.info.run_id,
        tags=identity(record),
        params=parameters(record),
        model_type=record.trained.problem,
    )


def _upload(client: MlflowClient, model: LoggedModel, record: RunRecord) -> None:
    """Build the model's folder on this disk and send it. Doing it again overwrites it with the same."""
    workshop = home() / "tracking"  # one process at a time is here, and a dead one's leavings go first
    shutil.rmtree(workshop, ignore_errors=True)
    try:
        _write_data(workshop / "network", record)
        _write_model(workshop, model, record)
        client.log_model_artifacts(model.model_id, str(workshop / "model"))
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _write_data(folder: Path, record: RunRecord) -> None:
    folder.mkdir(parents=True)
    fields = {"problem", "dataset", "family", "options", "input", "classes", "ignore_label", "mean", "std"}
    told = record.trained.model_dump(mode="json", include=fields) | {"resize": record.card.image.resize}
    (folder / "model.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    (folder / "weights.safetensors").symlink_to((record.outputs.trained / "best.safetensors").absolute())


def _write_model(workshop: Path, model: LoggedModel, record: RunRecord) -> None:
    mlflow.pyfunc.save_model(
        workshop / "model",
        loader_module=PREDICTOR.stem,
        data_path=str(workshop / "network"),
        code_paths=[str(PREDICTOR), str(FAMILIES_FOLDER)],
        mlflow_model=Model(
            artifact_path=model.artifact_location, run_id=model.source_run_id, model_id=model.model_id
        ),
        signature=_signature(record),
        input_example=np.zeros((1, EXAMPLE_PX, EXAMPLE_PX, record.trained.input.channels), np.uint8),
        pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in DISTRIBUTIONS],
    )


def _signature(record: RunRecord) -> ModelSignature:
    """Images u8[N H W C] in; a table of probabilities, or label maps u8[N H W], out."""
    images = Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1, -1))])
    if record.trained.problem == "segmentation":
        return ModelSignature(images, Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1))]))
    probabilities = [ColSpec(DataType.float, f"p({name})") for name in record.trained.classes]
    return ModelSignature(images, Schema([ColSpec(DataType.string, "class"), *probabilities]))
