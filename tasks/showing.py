"""Which test samples a run is shown by: the best, the worst, and some at random."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.family import ClassActivation
from regatta.engine.evaluating import Examiner
from regatta.engine.feed import Feed
from regatta.engine.order import Share, permutation
from regatta.engine.precision import autocast
from regatta.packed.schema import Split
from regatta.problems.batch import Batch
from regatta.reporting.samples import Kind, Sample
from regatta.settings.trained import TrainedRun

SHOWN = 4
"""Samples of each kind."""


@dataclass
class Witnessed:
    """How well each sample was done, gathered while a split is evaluated."""

    examiner: Examiner
    ids: list[Tensor] = field(default_factory=list[Tensor])
    scores: list[Tensor] = field(default_factory=list[Tensor])

    def add(self, batch: Batch, logits: Tensor) -> None:
        scores_B = self.examiner.problem.sample_scores(logits, batch, self.examiner.targets)
        self.ids.append(batch.ids)
        self.scores.append(scores_B.cpu())

    def best_first(self) -> tuple[Tensor, Tensor]:
        """Ids i64[N] and scores f32[N], best first; equal ones in the split's order."""
        ids_N, scores_N = torch.cat(self.ids), torch.cat(self.scores)
        order_N = torch.argsort(scores_N, descending=True, stable=True)
        return ids_N[order_N], scores_N[order_N]


def samples_to_show(
    network: nn.Module,
    feed: Feed,
    examiner: Examiner,
    split: Split,
    trained: TrainedRun,
    witnessed: Witnessed,
) -> list[Sample]:
    """The samples with truth, prediction, and activation map where the family has one."""
    ids_N, scores_N = witnessed.best_first()
    score_of = dict(zip(ids_N.tolist(), scores_N.tolist(), strict=True))
    # The same for every run of a data set, so that runs can be compared on them.
    random_S = permutation(len(ids_N), seed=0, epoch=0)[:SHOWN]
    chosen: list[tuple[Kind, Tensor]] = [
        ("random", random_S),
        ("best", ids_N[:SHOWN]),
        ("worst", ids_N[-SHOWN:].flip(0)),
    ]
    shown: list[Sample] = []
    for kind, ids_S in chosen:
        shares = Share(ids_S, torch.ones(len(ids_S), dtype=torch.bool), slice(0, len(ids_S)), len(ids_S))
        logits, maps = _logits_and_maps(network, examiner, feed.gather(shares))
        for place, sample in enumerate(ids_S.tolist()):
            found = logits[place].argmax(0)
            shown.append(
                Sample(
                    kind=kind,
                    id=sample,
                    name=split.names[int(sample)],
                    image=split.images[sample],
                    truth=_named(torch.as_tensor(split.targets[sample]), trained),
                    prediction=_named(found, trained),
                    score=score_of[sample],
                    activation_map=None if maps is None else maps[place, int(found)].numpy(),
                )
            )
    return shown


@torch.inference_mode()
def _logits_and_maps(network: nn.Module, examiner: Examiner, batch: Batch) -> tuple[Tensor, Tensor | None]:
    images_BCHW = examiner.normalise(batch.images)
    with autocast(examiner.recipe.precision, examiner.world.device):  # as they are scored
        if isinstance(network, ClassActivation):
            logits_BK, maps_BKhw = network.class_activation(images_BCHW)
            return logits_BK.float().cpu(), maps_BKhw.float().cpu()
        return network(images_BCHW).float().cpu(), None


def _named(value: Tensor, trained: TrainedRun) -> str | NDArray[np.uint8]:
    if value.dim() == 0:
        return trained.classes[int(value)]
    return value.to(torch.uint8).numpy()
