"""Adapters as other programs than PEFT name and store them, and DoRA and convolutions as PEFT merges them."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

TORCHTUNE = "0.6.1"
TINY = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2)


def write(folder: Path):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    merged_by_peft(folder / "dora", llama(), target_modules=["q_proj", "down_proj", "embed_tokens"], use_dora=True)
    merged_by_peft(folder / "gpt2-dora", gpt2(), target_modules=["c_attn"], use_dora=True, fan_in_fan_out=True)
    merged_by_peft(folder / "convolution", Convolutions(), target_modules=["wide", "narrow", "line", "head"])
    merged_by_peft(folder / "convolution-dora", Convolutions(), target_modules=["wide", "narrow"], use_dora=True)
    merged_by_peft(folder / "tied", llama(tie_word_embeddings=True), target_modules=["embed_tokens", "lm_head"], ensure_weight_tying=True)
    pickles(folder / "pickled")
    torchtune(folder / "torchtune")
    blocks(folder)


def llama(**options):
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**TINY, **options))


def gpt2():
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=8))


class Convolutions(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = torch.nn.Conv2d(3, 5, 3)
        self.narrow = torch.nn.Conv2d(5, 4, 1)
        self.line = torch.nn.Conv1d(4, 6, 3)
        self.head = torch.nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.line(self.narrow(self.wide(x)).flatten(2)).mean(2))


def merged_by_peft(folder: Path, base, **config):
    """The base's weights, PEFT's adapter, and what PEFT makes of both."""
    folder.mkdir()
    torch.manual_seed(11)
    save_file({name: tensor.contiguous() for name, tensor in untied(base).items()}, folder / "base.safetensors")
    model = get_peft_model(base, LoraConfig(r=2, lora_alpha=3, **config))
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if "lora_magnitude_vector" in path:
                parameter.mul_(1 + 0.3 * torch.rand_like(parameter))
            elif "lora_" in path:
                parameter.normal_()
    model.peft_config["default"].base_model_name_or_path = f"tiny/{folder.name}"
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    merged = model.merge_and_unload()
    save_file({name: tensor.contiguous() for name, tensor in untied(merged).items()}, folder / "merged.safetensors")


def untied(model):
    """As transformers saves a model: a tied head is stored as the embedding only."""
    state = {name: tensor for name, tensor in model.state_dict().items()}
    is_tied = getattr(getattr(model, "config", None), "tie_word_embeddings", False)
    return {name: tensor for name, tensor in state.items() if not (is_tied and name == "lm_head.weight")}


def pickles(folder: Path):
    """adapter_model.bin as PEFT wrote it before safetensors, in both of PyTorch's formats, and tensors that are views."""
    folder.mkdir()
    torch.manual_seed(12)
    model = get_peft_model(llama(), LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj"]))
    model.peft_config["default"].base_model_name_or_path = "tiny/pickled"
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if "lora_" in path:
                parameter.normal_()
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    from safetensors.torch import load_file

    state = load_file(folder / "adapter_model.safetensors")
    torch.save(state, folder / "adapter_model.bin")
    torch.save(state, folder / "legacy.bin", _use_new_zipfile_serialization=False)
    halves = {name: tensor.to(dtype) for (name, tensor), dtype in zip(state.items(), [torch.float16, torch.bfloat16])}
    torch.save(halves, folder / "halves.bin")
    # Transposed, and cut out of a longer storage; as parameters, within a checkpoint that holds more.
    views = {name: torch.nn.Parameter(torch.cat([tensor, tensor], 1).T.contiguous().T[:, : tensor.shape[1]]) for name, tensor in state.items()}
    torch.save({"epoch": 3, "state_dict": views}, folder / "views.bin")
    torch.save({name: tensor.double() for name, tensor in state.items()}, folder / "doubles.bin", pickle_protocol=4)


def torchtune(folder: Path):
    """torchtune's own names, and what its convert_weights.py makes of them for PEFT."""
    folder.mkdir()
    with tempfile.TemporaryDirectory() as name:
        command = ["download", "--quiet", "--no-deps", "--dest", name, f"torchtune=={TORCHTUNE}"]
        subprocess.run([sys.executable, "-m", "pip", *command], check=True)
        (wheel,) = Path(name).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            path = archive.extract("torchtune/models/convert_weights.py", name)
        spec = importlib.util.spec_from_file_location("convert_weights", path)
        convert_weights = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(convert_weights)
    random = torch.Generator().manual_seed(13)
    sizes = {"attn.q_proj": (16, 16), "attn.k_proj": (16, 8), "attn.v_proj": (16, 8), "attn.output_proj": (16, 16), "mlp.w1": (16, 24), "mlp.w2": (24, 16)}
    own = {}
    for module, (width, out) in sizes.items():
        own[f"layers.0.{module}.lora_a.weight"] = torch.randn(2, width, generator=random)
        own[f"layers.0.{module}.lora_b.weight"] = torch.randn(out, 2, generator=random)
    own["output.lora_a.weight"] = torch.randn(2, 16, generator=random)
    own["output.lora_b.weight"] = torch.randn(40, 2, generator=random)
    torch.save(own, folder / "adapter_0.pt")
    peft = convert_weights.tune_to_peft_adapter_weights(dict(own), num_heads=4, num_kv_heads=2, dim=16)
    save_file({name: tensor.contiguous() for name, tensor in peft.items()}, folder / "peft.safetensors")


def blocks(folder: Path):
    """Weights in blocks of each type, by gguf's own reference; those that it cannot quantise are made of chance."""
    random = np.random.default_rng(14)
    tensors = {}
    for name in "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS".split():
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        values = random.normal(size=(6, elements)).astype(np.float32)
        try:
            data = gguf.quants.quantize(values, kind)
            tensors[f"{name}.values"] = values
        except NotImplementedError:
            data = random.integers(0, 256, size=(6, size), dtype=np.uint8)
            # Halves that are numbers, wherever a block has one.
            for at in {"Q2_K": (80, 82), "Q3_K": (108,), "Q6_K": (208,)}.get(name, (0, 2) if "K" in name else (0,)):
                data[:, at : at + 2] = (random.random((6, 1)) + 0.5).astype(np.float16).view(np.uint8)
        tensors[f"{name}.data"] = data
        tensors[f"{name}.read"] = gguf.quants.dequantize(data, kind)
    save_arrays(tensors, folder / "blocks.safetensors")


if __name__ == "__main__":
    write(Path(__file__).resolve().parent.parent / "src/layouts/fixtures")
