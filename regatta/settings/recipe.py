"""How one run trains: every knob of the course, with its unit and range."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from regatta.settings.reading import Frozen

Fraction = Annotated[float, Field(ge=0, le=1)]


class Augment(Frozen):
    """Changes drawn anew for each sample and epoch; masks move with their images. 0 is off."""

    flip: bool = False
    """Mirror left-right with probability 1/2."""
    shift_px: Annotated[int, Field(ge=0, le=512)] = 0
    """Pad by this much on all sides and crop back at a random place."""
    scale: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Zoom by a factor drawn log-uniformly from [1 - scale, 1 / (1 - scale)]."""
    colour: Fraction = 0.0
    """Brightness and contrast each change by up to this share."""


class SegmentationLoss(Frozen):
    """Weights of the terms that are summed."""

    ce: Annotated[float, Field(ge=0)] = 1.0
    dice: Annotated[float, Field(ge=0)] = 0.0
    focal: Annotated[float, Field(ge=0)] = 0.0
    focal_gamma: Annotated[float, Field(ge=0, le=10)] = 2.0

    @model_validator(mode="after")
    def _learns_something(self) -> "SegmentationLoss":
        if self.ce + self.dice + self.focal == 0:
            raise ValueError("at least one of ce, dice, focal must be above 0")
        return self


class Recipe(Frozen):
    """Settings of training. The defaults here are the last resort: see `settings.course`."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    epochs: Annotated[int, Field(ge=0, le=100_000)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Samples of one optimiser step's micro-batch, over all workers."""
    accumulation: Annotated[int, Field(ge=1, le=1024)] = 1
    """Micro-batches whose gradients are summed before one optimiser step."""
    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: Annotated[float, Field(gt=0, le=100)] = 0.05
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    schedule: Literal["constant", "step", "cosine", "poly"] = "cosine"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    step_epochs: Annotated[float, Field(gt=0)] = 30.0
    """schedule: step multiplies the rate by `step_gamma` each time this many epochs have gone by."""
    step_gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    poly_power: Annotated[float, Field(gt=0, le=10)] = 0.9
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    """Largest norm of all gradients together; 0 is off."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    """balanced weighs a class by the inverse square root of its share of the training split."""
    loss: SegmentationLoss = SegmentationLoss()
    augment: Augment = Augment()
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay per step of the running average of the weights that is evaluated; 0 is off."""
    normalise: Literal["standard", "unit"] = "standard"
    """standard: mean 0 and deviation 1 per channel over the training split; unit: [0, 1]."""
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """auto is bf16 autocast on a GPU that computes it without emulation, else fp32. Convolutions of fp32 are
    TF32 on GPUs that have it, as torch has them."""
    channels_last: bool = True
    workers: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = "auto"
    """auto is one for each GPU of this machine, else one."""
    workers_min: Annotated[int, Field(ge=1)] | Literal["workers"] = "workers"
    """Fewest to go on with when others are lost; the default waits until all are back."""
    resize_every_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds between looks for workers that could join again, up to `workers`."""
    gpus_per_worker: Annotated[int, Field(ge=0, le=1)] | Literal["auto"] = "auto"
    """auto is one where this machine has any; 0 trains on the CPU."""
    threads_per_worker: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """auto shares this machine's cores among its workers."""
    resident_share: Fraction = 0.3
    """A split that fits into this share of the device's memory stays there."""
    log_every_steps: Annotated[int, Field(ge=1)] = 20
    checkpoint_every_s: Annotated[float, Field(ge=0)] = 30.0
    """Seconds between resumable checkpoints, besides one at each epoch's end; one that is due is written
    where losses are next read, every `log_every_steps`."""
    hang_timeout_s: Annotated[float, Field(ge=0)] = 120.0
    """Seconds without a finished step after which a worker counts as hung and is killed; 0 is never."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Recipe":
        if self.nesterov and (self.optimiser != "sgd" or self.momentum == 0):
            raise ValueError("nesterov: needs optimiser sgd and a momentum above 0")
        if self.epochs and self.warmup_epochs > self.epochs:
            raise ValueError(f"warmup_epochs: {self.warmup_epochs:g} are more than the {self.epochs} epochs")
        if isinstance(self.workers_min, int) and (self.workers == "auto" or self.workers_min > self.workers):
            raise ValueError(f"workers_min: needs workers of at least {self.workers_min}, not {self.workers}")
        return self


RECIPE_KEYS = frozenset(Recipe.model_fields)
"""Keys that `defaults` and a run may set."""

HOW_NOT_WHAT = frozenset(
    {
        "workers",
        "workers_min",
        "resize_every_s",
        "gpus_per_worker",
        "threads_per_worker",
        "resident_share",
        "checkpoint_every_s",
        "hang_timeout_s",
    }
)
"""Keys that say how a run is computed: work begun under other values of them is gone on with."""


def layered(*layers: dict[str, Any]) -> dict[str, Any]:
    """One mapping from several; later ones win, key by key, also one level down (`augment.flip`)."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            merged[key] = below | value if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
