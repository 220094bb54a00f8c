"""PEFT folders as `get_peft_model` and training leave them, and what PEFT itself makes of them."""

import copy
import shutil
from pathlib import Path

import torch
from models import bert, gpt2, llama, logits, make, trained
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]

# name: (architecture, element type, options of LoraConfig)
CASES = {
    "llama": (llama, torch.float32, dict(r=2, lora_alpha=4, target_modules=ATTENTION, task_type="CAUSAL_LM")),
    "llama-f16": (llama, torch.float16, dict(r=2, lora_alpha=3, target_modules=["q_proj", "v_proj"])),
    "llama-bf16": (llama, torch.bfloat16, dict(r=1, lora_alpha=2, target_modules=["down_proj"], lora_dropout=0.1)),
    "llama-patterns": (
        llama,
        torch.float32,
        dict(
            r=2,
            lora_alpha=4,
            target_modules=r".*\.(q_proj|v_proj|gate_proj)",
            rank_pattern={"layers.0.self_attn.q_proj": 3, r"layers\.\d+\.mlp\.gate_proj": 1},
            alpha_pattern={"model.layers.1.self_attn.v_proj": 9, "gate_proj": 5},
        ),
    ),
    "llama-rslora": (
        llama,
        torch.float32,
        dict(
            r=3, lora_alpha=5, use_rslora=True, target_modules=ATTENTION, rank_pattern={"o_proj": 2},
            layers_to_transform=[1], layers_pattern="layers",
        ),
    ),  # fmt: skip
    "llama-embeddings": (
        llama,
        torch.float32,
        dict(r=2, lora_alpha=6, target_modules=["embed_tokens", "lm_head", "q_proj"]),
    ),
    "bert-lora-bias": (bert, torch.float32, dict(r=2, lora_alpha=6, target_modules=["query", "dense"], lora_bias=True)),
    "bert": (bert, torch.float32, dict(r=2, lora_alpha=4, target_modules=["query", "value"])),
    "bert-lora-only": (
        bert,
        torch.float32,
        dict(r=2, lora_alpha=4, target_modules=["query", "dense"], bias="lora_only"),
    ),
    "bert-all": (bert, torch.float32, dict(r=2, lora_alpha=4, target_modules=["query", "value"], bias="all")),
    "bert-everything": (
        bert,
        torch.float32,
        dict(r=3, lora_alpha=4, target_modules="all-linear", exclude_modules=["key"], bias="all", task_type="SEQ_CLS"),
    ),
    "bert-classifier": (bert, torch.float32, dict(r=2, lora_alpha=4, target_modules=["query"], task_type="SEQ_CLS")),
    "gpt2": (
        gpt2,
        torch.float32,
        dict(r=2, lora_alpha=4, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True),
    ),
}

REFUSED = {
    "dora": (llama, dict(r=2, target_modules=["q_proj"], use_dora=True)),
    "tokens": (llama, dict(r=2, target_modules=["q_proj"], trainable_token_indices=[1, 2])),
    "parameters": (llama, dict(r=2, target_modules=[], target_parameters=["mlp.gate_proj.weight"])),
    "pissa": (llama, dict(r=2, target_modules=["q_proj"], init_lora_weights="pissa")),
    "replicated": (llama, dict(r=2, target_modules=["q_proj"], layer_replication=[[0, 2], [1, 2]])),
}


def write(folder: Path):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bases = {}
    for name, (architecture, dtype, config) in CASES.items():
        base = make(architecture, dtype)
        bases[architecture.__name__] = architecture
        model = trained(base, **config)
        save(model, folder / name)
        expected = {f"{path}.delta": delta for path, delta in deltas(model)}
        expected["logits"] = logits(model).float()
        if dtype == torch.float32:
            merged = copy.deepcopy(model).merge_and_unload()
            expected |= {f"merged.{key}": value for key, value in merged.state_dict().items()}
        save_file({key: value.contiguous().clone() for key, value in expected.items()}, folder / name / "expected.safetensors")
    for name, (architecture, config) in REFUSED.items():
        save(trained(make(architecture), steps=1, **config), folder / "refused" / name)
    for name, architecture in bases.items():
        model = make(architecture)
        tensors = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
        if name == "gpt2":  # as the Hub has it: no prefix, no tied head
            tensors = {key.removeprefix("transformer."): value for key, value in tensors.items() if key != "lm_head.weight"}
        save_file(tensors, folder / f"base-{name}.safetensors", metadata={"format": "pt"})


def save(model, folder: Path):
    for config in model.peft_config.values():
        config.base_model_name_or_path = f"tiny/{folder.name}"
    model.save_pretrained(folder)
    (folder / "README.md").unlink()


def deltas(model):
    """What each adapted layer adds, as a matrix [out, in] of float64 products of what PEFT holds, by the path in the base."""
    for path, layer in model.get_base_model().named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        scaling = layer.scaling["default"]
        if "default" in layer.lora_A:
            a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        else:
            a, b = layer.lora_embedding_A["default"], layer.lora_embedding_B["default"]
        yield path, (scaling * (b.double() @ a.double())).float().detach()
