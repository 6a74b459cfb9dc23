"""The weights that a run leaves: the best so far, and at its end the best and the last."""

import shutil

from regatta.digest import digest_of_file
from regatta.engine.checkpoint import kept_states
from regatta.engine.costs import counted_flops
from regatta.engine.job import Outcome
from regatta.engine.parts import Parts
from regatta.engine.tensor_files import write_weights
from regatta.whole import whole_file


def keep_best(parts: Parts) -> None:
    """Keep the judged network's weights as the best of the state's best epoch."""
    parts.state.best_digest = _keep(parts, _best(parts.state.best_epoch))


def forget_former_bests(parts: Parts) -> None:
    """Remove the best weights that no kept checkpoint knows any more."""
    if parts.world.leads:
        known = {_best(state.best_epoch) for state in kept_states(parts.job.folder / "checkpoints")}
        for path in parts.job.folder.glob("best-*.safetensors"):
            if path.stem not in known:
                path.unlink()


def finish(parts: Parts) -> None:
    """Write last.safetensors, best.safetensors and, when both are there, outcome.json."""
    last_digest = _keep(parts, "last")
    if parts.world.leads:
        with whole_file(parts.job.folder / "best.safetensors") as file:
            shutil.copyfile(parts.job.folder / f"{_best(parts.state.best_epoch)}.safetensors", file)
        with whole_file(parts.job.folder / "outcome.json") as file:
            file.write_text(_outcome(parts, last_digest).model_dump_json(), encoding="utf-8")


def _best(epoch: int) -> str:
    """Named by their epoch: a run that was killed after it had kept better ones, and goes on from a
    checkpoint before that, still has those that the checkpoint knows as its best."""
    return f"best-{epoch:06d}"


def _keep(parts: Parts, name: str) -> str:
    """Write the judged network's weights as NAME.safetensors, whole or not at all; their digest."""
    if not parts.world.leads:
        return ""
    with whole_file(parts.job.folder / f"{name}.safetensors") as file:
        write_weights(parts.judged, file)
        return digest_of_file(file)


def _outcome(parts: Parts, last_digest: str) -> Outcome:
    state = parts.state
    return Outcome(
        parameters=sum(p.numel() for p in parts.network.parameters()),
        flops=counted_flops(parts.judged.eval(), parts.examiner.normalise(parts.val.one())),
        best_epoch=state.best_epoch,
        best_score=max(state.best_score, 0.0),
        best_digest=state.best_digest,
        last_digest=last_digest,
        steps=state.step,
        train_s=state.train_s,
        samples_per_s=state.samples / max(state.train_s, 1e-9),
        data_wait_share=state.waited_s / max(state.train_s, 1e-9),
        workers=parts.world.size,
        device=str(parts.world.device),
    )
