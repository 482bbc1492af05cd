"""Weights: safetensors files whose header says what they are, how to use them, and their digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from img2pc.errors import WeightsError
from img2pc.files import is_folder, written_atomically
from img2pc.generator import GeneratorConfig, StructureGenerator

FORMAT = "img2pc-1"
DEFAULT_WEIGHTS = "img2pc.safetensors"


@dataclass(frozen=True)
class WeightsInfo:
    """What the header of a weights file says.

    Attributes:
        data: hashes of the data sets that were trained on; of what was drawn live, its settings.
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
    values = asdict(info)
    values["digest"] = _digest(values, tensors)
    # One key: safetensors writes several in any order, and equal weights should be equal files.
    header = {FORMAT: json.dumps(values)}
    with written_atomically(path) as temporary:
        temporary.write_bytes(save(tensors, header))


def load_weights(path: Path) -> tuple[StructureGenerator, WeightsInfo]:
    """The generator in float32, ready for inference on the CPU, and what its header says.

    Raises:
        WeightsError: the file is missing, damaged, or not weights of this program.
    """
    with _opened(path) as file:
        values, digest = _header(path, file)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _digest(values, tensors) != digest:
            raise WeightsError(
                f"weights {path} are damaged: they have changed since they were saved"
            )
        info = _info(values)
        # Not on the "meta" device: that imports a second's worth of torch to save 0.1 s.
        generator = StructureGenerator(info.config)
        state = {name: tensor.float() for name, tensor in tensors.items()}
        generator.load_state_dict(state, assign=True)
    generator.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return generator, info


def weights_digest(path: Path) -> str:
    """What `load_weights` compares, as the header says it: 64 hexadecimal digits.

    Raises:
        WeightsError: the file is missing or not weights of this program.
    """
    with _opened(path) as file:
        return _header(path, file)[1]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file; what safetensors, JSON and PyTorch find wrong with it becomes one sentence."""
    if is_folder(path):
        raise WeightsError(f"weights {path} are a folder; name the weights.safetensors in it")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError as error:
        raise WeightsError(
            f"weights {path} do not exist; check --weights and the variable IMG2PC_WEIGHTS"
        ) from error
    except RuntimeError as error:  # its text lists every tensor
        raise WeightsError(f"weights {path} do not fit the generator of their header") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"weights {path} cannot be read: {error}") from error


def _header(path: Path, file: Any) -> tuple[dict[str, object], str]:
    """What the header says, and the digest that it promises."""
    header = file.metadata() or {}
    if FORMAT not in header:
        raise WeightsError(f"{path} does not hold img2pc weights (format {FORMAT})")
    values = json.loads(header[FORMAT])
    if not isinstance(values, dict):
        raise ValueError("the header is damaged")
    if "digest" not in values:
        raise WeightsError(
            f"weights {path} were written by an older img2pc; the same `img2pc train` command "
            "saves them anew"
        )
    return values, str(values.pop("digest"))


def _digest(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the header and of each tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _info(values: dict[str, object]) -> WeightsInfo:
    config, data = values.get("config"), values.get("data")
    if not isinstance(config, dict) or not isinstance(data, list):
        raise ValueError("the header is damaged")
    known = {field.name for field in fields(GeneratorConfig)}
    if set(config) != known:
        raise ValueError("the generator's sizes are not those of this version")
    sizes: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in config.items()
    }
    return WeightsInfo(
        GeneratorConfig(**sizes),
        tuple(str(each) for each in data),
        int(str(values["samples"])),
    )
