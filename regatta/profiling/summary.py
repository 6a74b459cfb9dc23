"""A profile as one page for people, in markdown."""

import datetime
import os
import platform

import torch

from regatta.engine.parts import Parts
from regatta.profiling.advice import advice
from regatta.profiling.measure import ROUNDS, Profile
from regatta.profiling.timeline import PARTS

LIMITED_BY = {
    "between steps": "nothing that must be",
    "wait for data": "copying the packed batch",
    "augment, normalise": "reading bytes, writing floats",
    "forward": "arithmetic",
    "loss": "reading the logits",
    "backward": "arithmetic",
    "update": "reading and writing weights, gradients and state",
}


def summary(profile: Profile, parts: Parts) -> str:
    """The page: what a step is made of, beside its limits, and what to do about the largest part."""
    return "\n\n".join(
        [
            f"# Where the time of {parts.job.run} goes",
            _measured(profile, parts),
            _whole(profile, parts),
            "## The parts of a step",
            _table(profile),
            f"Limits: {_peaks(profile)}.",
            f"**{profile.largest}** is the largest part. {advice(profile, parts)}",
            "## Operators",
            _operators(profile),
            "Their own time, without the operators they call, in the steps recorded in `trace.json.gz`. Open "
            "it on https://ui.perfetto.dev: each part of a step is a range. Recording slows steps down.\n",
        ]
    )


def _measured(profile: Profile, parts: Parts) -> str:
    device = parts.world.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} cores"
    return (
        f"{datetime.date.today().isoformat()}, {platform.machine()}, {name}, torch {torch.__version__}, "
        f"{_counted(torch.get_num_threads(), 'thread')}, {profile.precision}. {profile.steps} steps of batch "
        f"{parts.recipe.batch_size}{_accumulated(parts)} by the engine's own loop, in {ROUNDS} rounds, each "
        "followed by a round of the same steps on one batch in memory. One worker, in a folder of its own."
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s'[: number > 1]}"


def _accumulated(parts: Parts) -> str:
    return f" × {parts.recipe.accumulation}" if parts.recipe.accumulation > 1 else ""


def _whole(profile: Profile, parts: Parts) -> str:
    waited = profile.times["wait for data"] / profile.step_s
    kept = profile.checkpoint_s / max(parts.recipe.checkpoint_every_s, profile.checkpoint_s)
    rows = {
        "samples/s": f"{profile.samples_per_step / profile.step_s:.4g}",
        "a step": f"{_ms(profile.step_s)} ms (median {_ms(profile.median_s)} ms)",
        "waiting for data": f"{waited:.1%} of a step",
        "the same step on one batch in memory": f"median {_ms(profile.median_in_memory_s)} ms: "
        f"{profile.median_in_memory_s / profile.median_s:.0%} of the step",
        "limit of a step on this machine": f"{_ms(sum(profile.limits.values()))} ms: "
        f"{sum(profile.limits.values()) / profile.step_s:.0%} of the step",
        "a checkpoint": f"{_ms(profile.checkpoint_s)} ms; one every {parts.recipe.checkpoint_every_s:g} s "
        f"takes {kept:.1%}",
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())


def _table(profile: Profile) -> str:
    head = "| part | ms | share | in memory, ms | limit, ms | set by |\n|---|--:|--:|--:|--:|---|\n"
    rows = [
        f"| {part} | {_ms(profile.times[part])} | {profile.times[part] / profile.step_s:.1%} "
        f"| {_ms(profile.in_memory[part])} | {_ms(profile.limits[part])} | {LIMITED_BY[part]} |"
        for part in PARTS
    ]
    return head + "\n".join(rows)


def _peaks(profile: Profile) -> str:
    machine, work = profile.machine, profile.work
    return (
        f"{work.forward_flops / 1e9:.3g} GFLOP forward and {work.backward_flops / 1e9:.3g} backward for each "
        f"batch, at the {machine.flops_per_s / 1e9:.4g} GFLOP/s that a large matrix product or "
        f"convolution in {profile.precision} reaches here (bf16: {machine.bf16_gain:.2g} times as many); "
        f"{work.packed_bytes / 1e6:.3g} MB of packed batch, {work.input_bytes / 1e6:.3g} MB of input, "
        f"{work.update_bytes / 1e6:.3g} MB of an update, at the {machine.bytes_per_s / 1e9:.3g} GB/s that a "
        "large copy reads and writes here. What fits into a cache can be faster than that"
    )


def _operators(profile: Profile) -> str:
    head = "| operator | calls a step | own ms a step |\n|---|--:|--:|\n"
    return head + "\n".join(
        f"| `{operator.name}` | {operator.calls_per_step:.4g} | {_ms(operator.own_s_per_step)} |"
        for operator in profile.operators
    )


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g}"
