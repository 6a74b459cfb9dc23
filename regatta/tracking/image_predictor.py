"""Images in, classes out: the code that goes with every model into MLflow and loads it there.

MLflow calls `_load_pyfunc`. The file is copied beside the model with the package `models`, and must
run where this project is not: it imports nothing of ours but `models`. The weights are safetensors
and the rest is JSON, so nothing is unpickled.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

if TYPE_CHECKING:
    import pandas as pd

BATCH = 32
"""Images that go through the network at once."""


@dataclass(frozen=True)
class ImagePredictor:
    """A trained network, with what was done to the images that it learnt from."""

    network: nn.Module
    problem: str
    classes: tuple[str, ...]
    channels: int
    height_px: int
    width_px: int
    resize: str
    """How the card brings images to that size: stretch or letterbox."""
    mean: Tensor
    """f32[C 1 1], in [0, 1]"""
    std: Tensor
    """f32[C 1 1]"""

    def predict(
        self, model_input: NDArray[np.uint8], params: dict[str, Any] | None = None
    ) -> "pd.DataFrame | NDArray[np.uint8]":
        """Classes of images u8[N H W C], of any size, grey (C = 1), colour (3) or with alpha (4).

        Returns:
            classification: a table with the columns `class` and one `p(CLASS)` for each class.
            segmentation: label maps u8[N H W] at the size of the images that came in.

        Raises:
            ValueError: the array is not u8[N H W C].
        """
        images = _checked(model_input)
        chunks = [images[first : first + BATCH] for first in range(0, len(images), BATCH)]
        if self.problem == "segmentation":
            maps = [self._label_maps(chunk) for chunk in chunks]
            return np.concatenate(maps) if maps else np.zeros(images.shape[:3], np.uint8)
        return self._table([self.logits(chunk).softmax(1) for chunk in chunks])

    @torch.inference_mode()
    def logits(self, images_NHWC: NDArray[np.uint8]) -> Tensor:
        """The network's answer f32[N K] or f32[N K h w] at its own size h w."""
        fitted = torch.from_numpy(np.stack([self._fitted(image) for image in images_NHWC]))
        images_NCHW = fitted.permute(0, 3, 1, 2).float() / 255
        device = next((weight.device for weight in self.network.parameters()), torch.device("cpu"))
        return self.network(((images_NCHW - self.mean) / self.std).to(device)).float().cpu()

    def _fitted(self, image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image u8[h w C] at the network's size, as the training images were brought to it."""
        image = Image.fromarray(image_HWC.squeeze(2) if image_HWC.shape[2] == 1 else image_HWC)
        image = image.convert("L" if self.channels == 1 else "RGB")
        top, left, height_px, width_px = self._window(*image_HWC.shape[:2])
        if (height_px, width_px) != (image.height, image.width):
            image = image.resize((width_px, height_px), Image.Resampling.BILINEAR)
        canvas = np.zeros((self.height_px, self.width_px, self.channels), np.uint8)
        pixels = np.asarray(image).reshape(height_px, width_px, self.channels)
        canvas[top : top + height_px, left : left + width_px] = pixels
        return canvas

    def _window(self, height_px: int, width_px: int) -> tuple[int, int, int, int]:
        """Where an image of that size lies on the network's canvas: top, left, height, width."""
        if self.resize == "stretch":
            return 0, 0, self.height_px, self.width_px
        scale = min(self.height_px / height_px, self.width_px / width_px)
        height = min(self.height_px, max(1, round(height_px * scale)))
        width = min(self.width_px, max(1, round(width_px * scale)))
        return (self.height_px - height) // 2, (self.width_px - width) // 2, height, width

    def _label_maps(self, images_NHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height_px, width_px = images_NHWC.shape[1:3]
        top, left, height, width = self._window(height_px, width_px)
        logits_NKhw = self.logits(images_NHWC)[:, :, top : top + height, left : left + width]
        if (height, width) != (height_px, width_px):
            logits_NKhw = nn.functional.interpolate(
                logits_NKhw, (height_px, width_px), mode="bilinear", align_corners=False
            )
        return logits_NKhw.argmax(1).to(torch.uint8).numpy()

    def _table(self, chunks: list[Tensor]) -> "pd.DataFrame":
        import pandas as pd

        probabilities_NK = torch.cat(chunks) if chunks else torch.zeros(0, len(self.classes))
        named = [self.classes[index] for index in probabilities_NK.argmax(1).tolist()]
        columns = {f"p({name})": probabilities_NK[:, k].numpy() for k, name in enumerate(self.classes)}
        return pd.DataFrame({"class": pd.Series(named, dtype=object)} | columns)


def _checked(images: Any) -> NDArray[np.uint8]:
    array = np.asarray(images)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] not in (1, 3, 4):
        raise ValueError(
            f"expected images as uint8 [N, H, W, C] with 1, 3 or 4 channels, "
            f"found {array.dtype} {list(array.shape)}"
        )
    return array


def _load_pyfunc(data_path: str) -> ImagePredictor:  # pyright: ignore[reportUnusedFunction]
    """The model in *data_path*: weights.safetensors and model.json."""
    from models import FAMILIES
    from models.family import InputSpec
    from models.weights import restore

    folder = Path(data_path)
    told: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    size: dict[str, int] = told["input"]
    family = FAMILIES[told["family"]]
    options = family.options(**told["options"])
    spec = InputSpec(classes=len(told["classes"]), **size)
    network = restore(family, spec, options, folder / "weights.safetensors")
    return ImagePredictor(
        network=network.to("cuda" if torch.cuda.is_available() else "cpu"),
        problem=told["problem"],
        classes=tuple(told["classes"]),
        resize=told["resize"],
        mean=torch.tensor(told["mean"]).reshape(-1, 1, 1),
        std=torch.tensor(told["std"]).reshape(-1, 1, 1),
        **size,
    )
