"""Adapters of PEFT on tiny models of many architectures, and what llama.cpp's own converter makes of them."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, get_peft_model

# The sources of llama.cpp that node-llama-cpp was built from.
BUNDLE = Path(__file__).parent / "llama-cpp/node_modules/node-llama-cpp/llama/gitRelease.bundle"

SIZES = dict(
    hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=40, max_position_embeddings=32,
)  # fmt: skip
WITH_HEAD = dict(head_dim=4)
# Grouped queries are not for all.
FULL = dict(num_key_value_heads=4)

# class: options of its configuration
MODELS = {
    "LlamaForCausalLM": {},
    "MistralForCausalLM": WITH_HEAD,
    "SmolLM3ForCausalLM": dict(pad_token_id=0),
    "GraniteForCausalLM": {},
    "OlmoForCausalLM": {},
    "Olmo2ForCausalLM": {},
    "Qwen2ForCausalLM": {},
    "Qwen3ForCausalLM": WITH_HEAD,
    "GemmaForCausalLM": WITH_HEAD,
    "Gemma2ForCausalLM": WITH_HEAD,
    "Gemma3ForCausalLM": WITH_HEAD,
    "StableLmForCausalLM": {},
    "CohereForCausalLM": {},
    "PhiForCausalLM": FULL,
    "Phi3ForCausalLM": dict(pad_token_id=0),
    "Starcoder2ForCausalLM": {},
    "MixtralForCausalLM": {},
    "Qwen2MoeForCausalLM": {},
    "Qwen3MoeForCausalLM": {},
    "OlmoeForCausalLM": {},
    "GptOssForCausalLM": {},
    "Cohere2ForCausalLM": {},
    "SeedOssForCausalLM": {},
    "Ernie4_5ForCausalLM": {},
    "NemotronForCausalLM": {},
    "Exaone4ForCausalLM": {},
    "ArceeForCausalLM": {},
    "ApertusForCausalLM": {},
    "BertModel": {},
}

LLAMA = "LlamaForCausalLM"
# name: (class, options of LoraConfig, options of the converter)
VARIANTS = {
    "llama-embeddings": (LLAMA, dict(r=2, lora_alpha=3, target_modules=["embed_tokens", "lm_head", "k_proj"]), []),
    "llama-f16": (LLAMA, dict(r=2, lora_alpha=4, target_modules=["q_proj", "k_proj", "v_proj"]), ["--outtype", "f16"]),
    "llama-bf16": (LLAMA, dict(r=1, lora_alpha=4, target_modules=["q_proj", "k_proj"]), ["--outtype", "bf16"]),
    "llama-q8": (LLAMA, dict(r=3, lora_alpha=4, target_modules=["down_proj", "q_proj"]), ["--outtype", "q8_0"]),
}


def write(folder: Path):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as sources:
        subprocess.run(["git", "clone", "--quiet", str(BUNDLE), sources], check=True)
        for name in MODELS:
            everything = dict(r=2, lora_alpha=5, target_modules=linear_modules(name))
            convert(sources, folder / name, name, everything, [])
        for variant, (name, config, options) in VARIANTS.items():
            convert(sources, folder / variant, name, config, options)


def linear_modules(name):
    modules = tiny(name).named_modules()
    linear = {path.rsplit(".")[-1] for path, module in modules if isinstance(module, torch.nn.Linear)} - {"gate", "router"}
    return f".*(layers|layer).*({'|'.join(sorted(linear))})" if name != "BertModel" else r".*layer\..*(query|key|value|dense)"


def tiny(name):
    model = getattr(transformers, name)
    torch.manual_seed(3)
    return model(model.config_class(**(SIZES | MODELS[name])))


def convert(sources, folder, name, config, options):
    base = tiny(name)
    base.config.architectures = [name]
    base.config.save_pretrained(folder)
    model = get_peft_model(base, LoraConfig(**config))
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if "lora_" in path:
                parameter.normal_()
    model.peft_config["default"].base_model_name_or_path = f"tiny/{folder.name}"
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    script = [sys.executable, f"{sources}/convert_lora_to_gguf.py", "--base", folder, "--outfile", folder / "adapter.gguf"]
    environment = os.environ | {"PYTHONPATH": f"{sources}/gguf-py", "NO_LOCAL_GGUF": ""}
    subprocess.run([*script, *options, folder], check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
