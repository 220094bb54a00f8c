"""mlx-lm's own layers with the folders that we write, and ours with the weights that mlx-lm saves: python mlx_check.py, with mlx, its
CPU build, mlx-lm, numpy and safetensors installed. What it prints is kept in mlx.txt."""

import importlib.abc
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock



class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Tokenizers and downloads, which have no part in adapters."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("transformers", "huggingface_hub", "sentencepiece", "jinja2", "yaml"):
            return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__ = []
        module.__spec__ = spec
        return module

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, StandIns())

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "src/peft/fixtures"
WIDTHS = {"self_attn": {"q_proj": (16, 16), "k_proj": (16, 8), "v_proj": (16, 8), "o_proj": (16, 16)}}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = nn.Module()
        for name, (width, out) in WIDTHS["self_attn"].items():
            setattr(self.self_attn, name, nn.Linear(width, out, bias=False))


class Model(nn.Module):
    """The modules that the adapter of src/peft/fixtures/llama is for."""

    def __init__(self):
        super().__init__()
        self.model = nn.Module()
        self.model.layers = [Block(), Block()]

    @property
    def layers(self):
        return self.model.layers


def fused(model):
    return {name: np.array(module.fuse().weight) for name, module in model.named_modules() if hasattr(module, "fuse")}


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        cli = ["node", HERE.parent.parent / "cli/dist/main.js"]
        subprocess.run([*cli, "convert", FIXTURES / "llama", scratch / "ours", "--to", "mlx"], check=True, stdout=subprocess.DEVNULL)
        mx.random.seed(1)
        model = Model()
        before = {name: np.array(module.weight) for name, module in model.named_modules() if isinstance(module, nn.Linear)}
        load_adapters(model, str(scratch / "ours"))
        from safetensors.numpy import load_file

        expected = load_file(FIXTURES / "llama/expected.safetensors")
        after = fused(model)
        worst = max(np.abs(after[name] - before[name] - expected[f"{name}.delta"]).max() / np.abs(expected[f"{name}.delta"]).max() for name in after)
        print(f"mlx-lm {importlib.metadata.version('mlx-lm')} on our folder: {len(after)} modules change by PEFT's change, within {worst:.0e} of it")
        assert len(after) == 8 and worst < 1e-5

        # The other way: as mlx-lm's trainer saves it.
        parameters = {"rank": 3, "scale": 7.0, "dropout": 0.0, "keys": ["self_attn.q_proj", "self_attn.v_proj"]}
        model = Model()
        linear_to_lora_layers(model, 2, parameters)
        theirs = scratch / "theirs"
        theirs.mkdir()
        weights = {name: mx.random.normal(value.shape) for name, value in tree_flatten(model.parameters()) if "lora_" in name}
        model.load_weights(list(weights.items()), strict=False)
        mx.save_safetensors(str(theirs / "adapters.safetensors"), weights)
        (theirs / "adapter_config.json").write_text(json.dumps({"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": parameters}))
        subprocess.run([*cli, "convert", theirs, scratch / "peft"], check=True, stdout=subprocess.DEVNULL)
        peft = load_file(scratch / "peft/adapter_model.safetensors")
        config = json.loads((scratch / "peft/adapter_config.json").read_text())
        worst = 0
        for name, module in model.named_modules():
            if not hasattr(module, "fuse"):
                continue
            change = np.array(module.fuse().weight) - np.array(module.linear.weight)
            a, b = (peft[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
            worst = max(worst, np.abs(config["lora_alpha"] / config["r"] * b @ a - change).max() / np.abs(change).max())
        print(f"ours on a folder of mlx-lm: as PEFT, within {worst:.0e} of what mlx-lm fuses")
        assert worst < 1e-5


if __name__ == "__main__":
    main()
