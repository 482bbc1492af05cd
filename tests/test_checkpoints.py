from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from img2pc.checkpoints import (
    WeightsInfo,
    default_weights,
    load_weights,
    save_weights,
    weights_hash,
)
from img2pc.errors import WeightsError
from img2pc.generator import SIZES, StructureGenerator

from .conftest import ROOT

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


def test_the_hash_tells_files_apart(path: Path, generator: StructureGenerator) -> None:
    other = path.with_name("other.safetensors")
    save_weights(other, generator, replace(INFO, samples=124))
    assert weights_hash(path) != weights_hash(other)
    assert len(weights_hash(path)) == 16


def test_equal_weights_are_equal_files(path: Path, generator: StructureGenerator) -> None:
    other = path.with_name("other.safetensors")
    save_weights(other, generator, INFO)
    assert other.read_bytes() == path.read_bytes()


def rewrite_header(path: Path, info: str) -> None:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata={"img2pc-1": info})


def assert_refused(path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    assert str(path) in str(caught.value)


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


@pytest.mark.parametrize(
    "info", ["", "null", "[]", "{}", '{"config": 1}', '{"config": {}, "data": []}']
)
def test_damaged_headers_are_refused(info: str, path: Path) -> None:
    rewrite_header(path, info)
    assert_refused(path)


def test_weights_of_another_size_than_the_header_says_are_refused(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        info = json.loads(file.metadata()["img2pc-1"])
    info["config"]["token_width"] = 64
    rewrite_header(path, json.dumps(info))
    assert_refused(path)


def test_missing_tensors_are_refused(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        names = list(file.keys())
        tensors = {name: file.get_tensor(name) for name in names[1:]}
    save_file(tensors, path, metadata=metadata)
    assert_refused(path)


@pytest.mark.skipif(
    not (ROOT / "weights" / "img2pc.safetensors").exists(), reason="no weights trained yet"
)
def test_the_bundled_weights_load() -> None:
    generator, info = load_weights(default_weights())
    assert generator.config == info.config
    assert info.samples > 0
