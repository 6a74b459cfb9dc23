"""Lightning's Trainer around the same net, as "Lightning in 15 minutes" has it, with a usual DataLoader.

Progress bar, summary and checkpoints are off; its logger and its logging interval are as they come.
"""

import time
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from benchmarks.loops.lesson import Lesson
from benchmarks.loops.questions import Answer, Question


class LitLesson(LightningModule):
    """The lesson as Lightning wants it."""

    def __init__(self, lesson: Lesson) -> None:
        super().__init__()
        self.network, self.loss_fn, self.optimizer = lesson.network, lesson.loss_fn, lesson.optimizer

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, targets = batch
        loss = self.loss_fn(self.network(images), targets)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer


class Stopwatch(Callback):
    """Takes the time from the end of the last step of the warm-up."""

    def __init__(self, warm_up_steps: int) -> None:
        self.warm_up_steps, self.samples = warm_up_steps, 0
        self.began_s = self.ended_s = time.perf_counter()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.samples += len(batch[1])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.ended_s = time.perf_counter()
        if trainer.global_step == self.warm_up_steps:
            self.samples, self.began_s = 0, self.ended_s


def measured(lesson: Lesson, question: Question, folder: Path) -> Answer:
    """Train as long as *question* says; Lightning's own files go into *folder*."""
    watch = Stopwatch(question.warm_up_steps)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=-1,
        max_steps=question.warm_up_steps + question.steps,
        callbacks=[watch],
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(LitLesson(lesson), lesson.loader)
    return Answer(watch.samples, watch.ended_s - watch.began_s)
