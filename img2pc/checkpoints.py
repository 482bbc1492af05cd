"""Weights: safetensors files whose header says what they are and how to use them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from img2pc.errors import WeightsError
from img2pc.files import written_atomically
from img2pc.generator import GeneratorConfig, StructureGenerator

FORMAT = "img2pc-1"
DEFAULT_WEIGHTS = "img2pc.safetensors"


@dataclass(frozen=True)
class WeightsInfo:
    """What the header of a weights file says.

    Attributes:
        data: hashes of the data sets that were trained on.
        samples: pictures seen in training, repeats counted.
    """

    config: GeneratorConfig
    data: tuple[str, ...]
    samples: int


def default_weights() -> Path:
    """The weights that come with the package (in a checkout: the top-level `weights/`).

    Raises:
        WeightsError: they are missing.
    """
    package = Path(__file__).parent
    for folder in (package / "weights", package.parent / "weights"):
        if (folder / DEFAULT_WEIGHTS).is_file():
            return folder / DEFAULT_WEIGHTS
    raise WeightsError(f"the bundled weights ({DEFAULT_WEIGHTS}) are missing; reinstall img2pc")


def save_weights(path: Path, generator: StructureGenerator, info: WeightsInfo) -> None:
    """Half-precision weights with `info` in the header; replaces the file in one step."""
    tensors = {
        name: tensor.detach().cpu().half().contiguous()
        for name, tensor in generator.state_dict().items()
    }
    # One key: safetensors writes several in any order, and equal weights should be equal files.
    header = {FORMAT: json.dumps(asdict(info))}
    with written_atomically(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def load_weights(path: Path) -> tuple[StructureGenerator, WeightsInfo]:
    """The generator in float32, ready for inference on the CPU, and what its header says.

    Raises:
        WeightsError: the file is missing, damaged, or not weights of this program.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if FORMAT not in header:
                raise WeightsError(f"{path} does not hold img2pc weights (format {FORMAT})")
            info = _info(json.loads(header[FORMAT]))
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        # Not on the "meta" device: that imports a second's worth of torch to save 0.1 s.
        generator = StructureGenerator(info.config)
        generator.load_state_dict(state, assign=True)
    except FileNotFoundError as error:
        raise WeightsError(f"weights {path} do not exist") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"weights {path} cannot be read: {error}") from error
    generator.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return generator, info


def weights_hash(path: Path) -> str:
    """The first 16 hexadecimal digits of the file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _info(values: dict[str, object]) -> WeightsInfo:
    config = values["config"]
    if not isinstance(config, dict) or not isinstance(values["data"], list):
        raise ValueError("the header is damaged")
    known = {field.name for field in fields(GeneratorConfig)}
    if set(config) != known:
        raise ValueError("the generator's sizes are not those of this version")
    sizes: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in config.items()
    }
    return WeightsInfo(
        GeneratorConfig(**sizes),
        tuple(str(each) for each in values["data"]),
        int(str(values["samples"])),
    )
