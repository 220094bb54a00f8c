"""Reads the folders that `write-peft.mjs` writes with the code that vLLM reads LoRA with, taken out of its wheel, and compares
the change of each module; what vLLM says of each folder is kept in vllm.json. The rest of vLLM, which wants a GPU or hours of
compilation, is stood in for by names without meaning: none of it has a part in reading."""

import importlib.abc
import importlib.util
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import torch
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent
VERSION = "0.33.0"
READING = [f"vllm/lora/{name}.py" for name in ("peft_helper", "lora_model", "lora_weights", "utils")]
# What the server was started with; these are its own names for what a folder may adapt.
SERVER = SimpleNamespace(max_lora_rank=16)
MODULES = {
    "llama": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "embed_tokens", "lm_head"},
    "bert": {"query", "key", "value", "dense"},
    "gpt2": {"c_attn", "c_proj", "c_fc"},
}


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Every module of vLLM that was not taken out of its wheel."""

    def __init__(self, sources: Path):
        self.sources = sources

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] != "vllm":
            return None
        real = self.sources / (name.replace(".", "/") + ".py")
        if real.exists():
            return importlib.util.spec_from_file_location(name, real)
        return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec):
        module = MagicMock(name=spec.name, PIN_MEMORY=False)
        module.__path__ = []
        module.__spec__ = spec
        return module

    def exec_module(self, module):
        pass


def write(fixtures: Path):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        PEFTHelper, LoRAModel = reading_code(folder / "vllm")
        ours = folder / "ours"
        ours.mkdir()
        subprocess.run(["node", HERE / "write-peft.mjs", ours], check=True)
        said = {path.name: read(path, fixtures, PEFTHelper, LoRAModel) for path in sorted(ours.iterdir())}
    said |= {
        f"refused/{path.name}": read(path, fixtures, PEFTHelper, LoRAModel)
        for path in sorted((fixtures / "refused").iterdir())
    }
    (fixtures / "vllm.json").write_text(json.dumps({"version": VERSION, "says": said}, indent=2) + "\n")
    for name, answer in said.items():
        print(f"vLLM {VERSION} on {name}: {answer}")


def reading_code(folder: Path):
    command = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder), f"vllm=={VERSION}"]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, READING)
    sys.meta_path.insert(0, StandIns(folder))
    from vllm.lora.lora_model import LoRAModel
    from vllm.lora.peft_helper import PEFTHelper

    return PEFTHelper, LoRAModel


def read(path: Path, fixtures: Path, PEFTHelper, LoRAModel) -> str:
    """What vLLM says of a folder; of one that it takes, that each module changes by what PEFT made of it."""
    try:
        helper = PEFTHelper.from_local_dir(str(path), max_position_embeddings=32)
        helper.validate_legal(SERVER)
        expected_modules = MODULES[base_of(path)]
        model = LoRAModel.from_local_checkpoint(str(path), expected_modules, helper, lora_model_id=1, device="cpu", dtype=torch.float64)
    except ValueError as error:
        return str(error).replace(str(path), path.name)
    deltas = expected_deltas(path, fixtures)
    if deltas is not None:
        assert set(model.loras) == set(deltas), (path.name, set(model.loras) ^ set(deltas))
    for name, layer in model.loras.items():
        layer.optimize()
        change = layer.lora_b @ layer.lora_a
        if deltas is not None:
            assert (change - deltas[name]).abs().max() <= 1e-6 * deltas[name].abs().max(), (path.name, name)
    return f"read, {len(model.loras)} modules" + (", as PEFT's" if deltas is not None else "")


def base_of(path: Path) -> str:
    name = path.name.removeprefix("learned-")
    return next((base for base in MODULES if name.startswith(base)), "llama")


def expected_deltas(path: Path, fixtures: Path):
    file = fixtures / path.name.split(".")[0] / "expected.safetensors"
    if not file.exists():
        return None
    return {name.removesuffix(".delta"): delta.double() for name, delta in load_file(file).items() if name.endswith(".delta")}
