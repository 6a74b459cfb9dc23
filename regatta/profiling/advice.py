"""What to do about the largest part of a step."""

from regatta.engine.parts import Parts
from regatta.profiling.measure import Profile
from regatta.settings.recipe import Recipe

NEAR = 3.0
"""Up to so many times its limit, a part is bound by the machine; beyond, by how it is computed."""


def advice(profile: Profile, parts: Parts) -> str:
    """A sentence or two, by what the part is and how far it is from its limit."""
    match profile.largest:
        case "between steps":
            return "Raise log_every_steps: each reading waits for the device."
        case "wait for data":
            return _about_the_data(parts.train.at_hand)
        case "augment, normalise":
            return (
                "Of the augmentations, scale and colour cost most; without any, only normalising is left. "
                "Smaller images (the card's image) cost less in every part."
            )
        case "loss":
            return "It reads every logit: dice and focal terms several times. Plain ce is the cheapest."
        case "update":
            return (
                "It costs the same for any batch: raise batch_size or accumulation, and fewer updates are "
                "made; sgd reads less state than adam."
            )
        case "forward" | "backward":
            return _about_the_network(profile, parts.recipe)


def _about_the_data(at_hand: bool) -> str:
    if at_hand:
        return (
            "Samples are so small that a step gathers its batch itself, for waking a thread takes longer: "
            "the network has little to do beside it. Raise batch_size, so that it is done less often."
        )
    return (
        "Put data/packed on a local disk and give it memory to be cached in, and a core to the thread that "
        "gathers ahead; on a GPU raise resident_share, so that the split stays on the device."
    )


def _about_the_network(profile: Profile, recipe: Recipe) -> str:
    took_s = profile.times["forward"] + profile.times["backward"]
    times = took_s / (profile.limits["forward"] + profile.limits["backward"])
    said = f"Forward and backward together take {times:.2g} times their limit: "
    ways = [] if recipe.channels_last else ["set channels_last: true"]
    if profile.precision == "fp32" and profile.machine.bf16_gain > 1.2:
        ways.append("try precision: bf16")
    if times > NEAR:
        ways += ["raise batch_size, so that each operator does more for one call"]
        return said + "it is not the arithmetic that binds. " + _listed(ways)
    ways += ["give it more cores (threads_per_worker, workers) or a GPU, smaller images or a smaller net"]
    return said + "the arithmetic itself binds. " + _listed(ways)


def _listed(ways: list[str]) -> str:
    text = "; or ".join(ways)
    return f"{text[0].upper()}{text[1:]}."
