"""When to tell how a run goes, and when to keep a checkpoint."""

import time
from collections.abc import Callable, Mapping

from regatta.engine.parts import Parts, begin_checkpoint

Say = Callable[[str], None]
SAY_EVERY_S = 1.0


class Clock:
    """One epoch's clock."""

    def __init__(self, parts: Parts, say: Say) -> None:
        self.parts, self.say = parts, say
        self.began_s = self.told_s = self.kept_s = time.perf_counter()
        self.first_step, self.first_waited_s = parts.state.step, parts.train.waited_s
        self.epoch_waited_s = parts.waited_s
        self.loss: float | None = None

    def waited_s(self) -> float:
        """Seconds that steps have waited for data since the last call."""
        before, self.first_waited_s = self.first_waited_s, self.parts.train.waited_s
        return self.first_waited_s - before

    def checkpoint_if_due(self) -> None:
        """Only where losses were just read back and found finite."""
        now_s = time.perf_counter()
        if now_s - self.kept_s >= self.parts.recipe.checkpoint_every_s:
            self.kept_s = now_s
            begin_checkpoint(self.parts)

    def tell(self, epoch: int, step: int) -> None:
        """Say where the run stands, about once a second."""
        now_s = time.perf_counter()
        if now_s - self.told_s < SAY_EVERY_S:
            return
        self.told_s = now_s
        parts, total = self.parts, self.parts.steps_per_epoch
        steps_per_s = (parts.state.step - self.first_step) / (now_s - self.began_s)
        left_s = round((parts.recipe.epochs * total - parts.state.step) / steps_per_s)
        samples_per_s = steps_per_s * parts.recipe.batch_size * parts.recipe.accumulation
        loss = "" if self.loss is None else f" loss {self.loss:.4f}"
        self.say(
            f"epoch {epoch + 1}/{parts.recipe.epochs} step {step}/{total}{loss}"
            f" {samples_per_s:.0f} samples/s left {left_s // 60}:{left_s % 60:02d}"
        )

    def tell_epoch(self, epoch: int, scores: Mapping[str, float]) -> None:
        """Say how the epoch went: its validation's scores, and how much of it was waiting for data."""
        parts = self.parts
        primary = parts.examiner.problem.primary
        waited = (parts.waited_s - self.epoch_waited_s) / (time.perf_counter() - self.began_s)
        self.say(
            f"epoch {epoch + 1}/{parts.recipe.epochs} val loss {scores['loss']:.4f}"
            f" {primary} {scores[primary]:.4f} waited {waited:.1%} for data"
        )
