"""A recorded trace of some steps, for https://ui.perfetto.dev, and the operators that took the longest."""

import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

# torch.profiler asks for one of these, and names no public way to it.
from torch._C._profiler import _ExperimentalConfig  # pyright: ignore[reportPrivateUsage]
from torch.profiler import ProfilerActivity, profile, schedule

from regatta.profiling.rehearsal import Rehearsal

WARM_UP_STEPS, TRACED_STEPS = 2, 5
SHOWN = 12


@dataclass(frozen=True)
class Operator:
    """One kind of operator, without the time of those that it calls."""

    name: str
    calls_per_step: float
    own_s_per_step: float


def record(rehearsal: Rehearsal, path: Path) -> tuple[Operator, ...]:
    """Record a few steps into *path* (`….json.gz`); the operators that took longest, longest first."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it tells stderr that it starts and stops
    cuda = rehearsal.timeline.on_cuda
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
    plan = schedule(wait=0, warmup=WARM_UP_STEPS, active=TRACED_STEPS, repeat=1)
    rehearsal.timeline.in_trace = True
    config = _ExperimentalConfig(profile_all_threads=True)  # the one that gathers ahead, too
    with profile(
        activities=activities, schedule=plan, record_shapes=True, experimental_config=config
    ) as recorder:
        rehearsal.train(lambda steps, _: steps >= WARM_UP_STEPS + TRACED_STEPS, recorder.step)
    rehearsal.timeline.in_trace = False
    recorder.export_chrome_trace(str(path))
    return _operators(recorder, cuda)


def _operators(recorder: profile, cuda: bool) -> tuple[Operator, ...]:
    """Those that took longest; of all steps but the first, in which the recorder itself gets going."""
    events = recorder.events() or []
    begins = sorted(event.time_range.start for event in events if event.name.startswith("ProfilerStep"))
    calls, own_s = Counter[str](), defaultdict[str, float](float)
    for event in events:
        if event.time_range.start >= begins[1] and "::" in event.name:
            calls[event.name] += 1
            own_s[event.name] += (event.self_device_time_total if cuda else event.self_cpu_time_total) / 1e6
    steps = TRACED_STEPS - 1
    longest = sorted(own_s, key=lambda name: -own_s[name])[:SHOWN]
    return tuple(Operator(name, calls[name] / steps, own_s[name] / steps) for name in longest)
