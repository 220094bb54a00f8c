"""Checks the PEFT folders and models that `write-peft.mjs` writes with the safetensors library, and against what PEFT did."""

import json
import math
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import safetensors
from check import PEFT, load_floats
from safetensors.numpy import load_file, save

HERE = Path(__file__).resolve().parent
PREFIX = "base_model.model."


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["node", HERE / "write-peft.mjs", folder], check=True)
        folders = sorted(folder.iterdir())
        assert len(folders) >= 30, folders
        for path in folders:
            weights = path / "adapter_model.safetensors"
            is_plain = "." not in path.name and not path.name.startswith("learned-")
            if not path.name.endswith("bf16"):  # which numpy does not have
                assert save(load_file(weights), {"format": "pt"}) == weights.read_bytes(), f"{path.name} is not canonical"
            if is_plain and "bias" not in path.name:
                assert weights.read_bytes() == (PEFT / path.name / weights.name).read_bytes(), path.name
            if not path.name.startswith("learned-"):
                check_deltas(path)
        check_merged(folder)
        print(f"safetensors {safetensors.__version__} reads and would write {len(folders)} folders as we do")


def check_deltas(path):
    """The change of each module by the rules of LoraConfig, against what PEFT's layers held."""
    config = json.loads((path / "adapter_config.json").read_text())
    tensors = load_floats(path / "adapter_model.safetensors")
    expected = load_file(PEFT / path.name.split(".")[0] / "expected.safetensors")
    deltas = {name.removesuffix(".delta"): delta for name, delta in expected.items() if name.endswith(".delta")}
    assert set(config["target_modules"]) == set(deltas), path.name
    for module, delta in deltas.items():
        key = PREFIX + module
        a = tensors.get(f"{key}.lora_A.weight", tensors.get(f"{key}.lora_embedding_A"))
        b = tensors.get(f"{key}.lora_B.weight", tensors.get(f"{key}.lora_embedding_B"))
        rank = pattern(config["rank_pattern"], module, config["r"])
        alpha = pattern(config["alpha_pattern"], module, config["lora_alpha"])
        assert a.shape[0] == b.shape[1] == rank, (path.name, module)
        scaling = alpha / math.sqrt(rank) if config["use_rslora"] else alpha / rank
        product = scaling * (b.astype(np.float64) @ a.astype(np.float64))
        assert np.abs(product - delta).max() <= 1e-6 * np.abs(delta).max(), (path.name, module)


def pattern(patterns, module, otherwise):
    """`get_pattern_key` of PEFT's utils/other.py."""
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)), otherwise)


def check_merged(folder):
    for path in folder.glob("learned-*"):
        base = load_file(PEFT / f"base-{path.name.removeprefix('learned-')}.safetensors")
        merged, adapter = load_file(path / "merged.safetensors"), load_file(path / "adapter_model.safetensors")
        config = json.loads((path / "adapter_config.json").read_text())
        scaling = config["lora_alpha"] / config["r"]
        assert merged.keys() == base.keys()
        for name, array in merged.items():
            module, _, part = name.rpartition(".")
            key = f"{PREFIX}{module}"
            change = 0
            if part == "weight" and f"{key}.lora_A.weight" in adapter:
                change = scaling * (adapter[f"{key}.lora_B.weight"].astype(np.float64) @ adapter[f"{key}.lora_A.weight"])
            if part == "bias" and f"{key}.lora_B.bias" in adapter:
                change = scaling * adapter[f"{key}.lora_B.bias"].astype(np.float64)
            assert np.allclose(array, base[name] + change, rtol=1e-6, atol=1e-7), name


if __name__ == "__main__":
    main()
