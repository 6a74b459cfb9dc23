"""The network of the kill trials: small and quick, with dropout and batch statistics, which are state."""

from torch import nn

from models.family import Family, InputSpec, Options


def build(spec: InputSpec, options: Options) -> nn.Module:
    """f32[B C H W] to logits f32[B K]; any size."""
    return nn.Sequential(
        nn.Conv2d(spec.channels, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout2d(0.1),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(16, spec.classes),
    )


FAMILY = Family(name="flecks", problem="classification", paper="none", build=build)
