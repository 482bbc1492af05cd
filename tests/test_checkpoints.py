from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from img2pc import checkpoints
from img2pc.checkpoints import (
    WeightsInfo,
    default_weights,
    load_weights,
    save_weights,
    weights_digest,
)
from img2pc.errors import WeightsError
from img2pc.generator import SIZES, StructureGenerator

from .conftest import Unpickled

INFO = WeightsInfo(replace(SIZES["tiny"], image_size=32), data=("abc", "def"), samples=123)


@pytest.fixture
def generator() -> StructureGenerator:
    torch.manual_seed(0)
    return StructureGenerator(INFO.config)


@pytest.fixture
def path(generator: StructureGenerator, tmp_path: Path) -> Path:
    save_weights(tmp_path / "w.safetensors", generator, INFO)
    return tmp_path / "w.safetensors"


def test_weights_survive_the_file_to_half_precision(
    path: Path, generator: StructureGenerator
) -> None:
    loaded, info = load_weights(path)
    assert info == INFO
    assert not loaded.training
    for (name, ours), theirs in zip(
        generator.state_dict().items(), loaded.state_dict().values(), strict=True
    ):
        assert theirs.dtype == torch.float32, name
        assert torch.equal(ours.half().float(), theirs), name


def test_loaded_weights_predict_what_the_saved_ones_did(
    path: Path, generator: StructureGenerator
) -> None:
    image = torch.rand(1, 4, 32, 32) * 2 - 1
    with torch.inference_mode():
        ours, theirs = generator.eval()(image), load_weights(path)[0](image)
    torch.testing.assert_close(ours.coordinates, theirs.coordinates, atol=5e-3, rtol=0)
    torch.testing.assert_close(ours.mask_logits, theirs.mask_logits, atol=5e-2, rtol=0)


def test_loaded_weights_can_be_trained_further(path: Path) -> None:
    loaded, _ = load_weights(path)
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_convention_weights_file(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        dtypes = {file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
    assert dtypes == {torch.float16}
    assert set(metadata) == {"img2pc-1"}
    info = json.loads(metadata["img2pc-1"])
    assert (info["data"], info["samples"]) == (["abc", "def"], 123)
    assert info["config"]["image_size"] == 32
    assert info["config"]["encoder_channels"] == [8, 16, 16, 32]


def test_the_digest_tells_weights_apart(path: Path, generator: StructureGenerator) -> None:
    other = path.with_name("other.safetensors")
    save_weights(other, generator, replace(INFO, samples=124))
    assert weights_digest(path) != weights_digest(other)
    with torch.no_grad():
        next(generator.parameters()).view(-1)[0] += 1
    save_weights(other, generator, INFO)
    assert weights_digest(path) != weights_digest(other)


def test_convention_digest() -> None:
    """Header, then each tensor by name: its name, type and shape, and its bytes."""
    tensors = {"b": torch.tensor([[1.0], [2.0]]).half(), "a": torch.tensor(0.0).half()}
    text = b'{"x": [1, 2]}' + b"a torch.float16 () \0\0b torch.float16 (2, 1) \0\x3c\0\x40"
    assert checkpoints._digest({"x": (1, 2)}, tensors) == hashlib.sha256(text).hexdigest()


def test_equal_weights_are_equal_files(path: Path, generator: StructureGenerator) -> None:
    other = path.with_name("other.safetensors")
    save_weights(other, generator, INFO)
    assert other.read_bytes() == path.read_bytes()


def contents(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The header without its digest, and the tensors."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["img2pc-1"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del header["digest"]
    return header, tensors


def rewrite(path: Path, header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    """A file that is whole, whatever it holds."""
    digest = checkpoints._digest(header, tensors)
    save_file(tensors, path, metadata={"img2pc-1": json.dumps({**header, "digest": digest})})


def assert_refused(path: Path, reason: str = "") -> None:
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path / "missing.safetensors")
    assert_refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"garbage", bytes(range(256)) * 10])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    assert_refused(tmp_path / "w.safetensors")


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.5, 0.99])
def test_truncated_weights_are_refused(share: float, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert_refused(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"img2pc-0": "{}"}])
def test_foreign_safetensors_are_refused(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "w.safetensors", metadata=metadata)
    assert_refused(tmp_path / "w.safetensors")


@pytest.mark.parametrize("info", ["", "null", "[]", "{"])
def test_damaged_headers_are_refused(info: str, path: Path) -> None:
    save_file(contents(path)[1], path, metadata={"img2pc-1": info})
    assert_refused(path, "cannot be read")


@pytest.mark.parametrize("header", [{}, {"config": 1}, {"config": {}, "data": []}])
def test_headers_that_lack_something_are_refused(header: dict[str, Any], path: Path) -> None:
    rewrite(path, header, contents(path)[1])
    assert_refused(path, "cannot be read")


def test_weights_without_a_digest_are_refused(path: Path) -> None:
    header, tensors = contents(path)
    save_file(tensors, path, metadata={"img2pc-1": json.dumps(header)})
    assert_refused(path, "older img2pc")


@pytest.mark.parametrize("share", [0.3, 0.6, 1])
def test_one_flipped_bit_is_damage(share: float, path: Path) -> None:
    content = bytearray(path.read_bytes())
    tensors = 8 + int.from_bytes(content[:8], "little")
    content[tensors + int(share * (len(content) - tensors - 1))] ^= 1
    path.write_bytes(content)
    assert_refused(path, "damaged")


def test_a_changed_header_is_damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b'samples\\": 123', b'samples\\": 124'))
    assert_refused(path, "damaged")


def test_swapped_tensors_are_damage(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    _, tensors = contents(path)
    one, other = [name for name in tensors if name.endswith("_norm.bias")][:2]
    tensors[one], tensors[other] = tensors[other] + 1, tensors[one]
    save_file(tensors, path, metadata=metadata)
    assert_refused(path, "damaged")


def test_weights_of_another_size_than_the_header_says_are_refused(path: Path) -> None:
    header, tensors = contents(path)
    header["config"]["token_width"] = 64
    rewrite(path, header, tensors)
    assert_refused(path, "do not fit")


def test_missing_tensors_are_refused(path: Path) -> None:
    header, tensors = contents(path)
    tensors.popitem()
    rewrite(path, header, tensors)
    assert_refused(path, "do not fit")


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "pkl"])
def test_pickles_are_refused_unopened(suffix: str, tmp_path: Path) -> None:
    weights, marker = tmp_path / f"w.{suffix}", tmp_path / "unpickled"
    for save in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))):
        save({"weight": Unpickled(marker)}, weights)
        assert_refused(weights)
        assert not marker.exists()
    pickle.loads(weights.read_bytes())
    assert marker.exists()  # it would have shown


def test_the_bundled_weights_load() -> None:
    generator, info = load_weights(default_weights())
    assert generator.config == info.config
    assert info.samples > 0
