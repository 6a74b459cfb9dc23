"""A group of workers whose number is fixed, as Ray Train's controller forms it.

Nothing here imports torch, for the controller reads this file and does without.
"""

from typing import Any

from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy


class FixedGroup(FixedScalingPolicy):
    """Asks nobody for resources: an autoscaler sees the placement group that the workers wait for.

    Ray 2.60's own tells an actor that arbitrates between Ray Train and Ray Data, and waits for its start.
    """

    def after_controller_start(self, train_run_context: Any) -> None:
        """Nothing is asked for."""

    def _maybe_send_resource_request(self) -> None:
        """Nor again."""
