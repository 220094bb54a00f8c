"""Tiny models as llama.cpp's own converter writes them, without and with an adapter merged into their weights by numpy."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from gguf_bases import add_vocabulary
from gguf_goldens import BUNDLE
from safetensors.numpy import load_file, save_file

RANK, ALPHA = 2, 3.0
SMALL = dict(vocab_size=40, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
LONG = dict(max_position_embeddings=64)

# name: (class, options of its configuration, ends of the paths that are adapted besides what is in `LINEAR`, and those that are not)
MODELS = {
    "llama-untied": ("LlamaForCausalLM", SMALL | LONG, ["embed_tokens", "lm_head"], []),
    "llama-tied": ("LlamaForCausalLM", SMALL | LONG | dict(tie_word_embeddings=True), [], []),
    "mixtral": ("MixtralForCausalLM", SMALL | LONG | dict(num_local_experts=4, num_experts_per_tok=2), ["w1", "w2", "w3", "gate"], []),
    "qwen2moe": (
        "Qwen2MoeForCausalLM",
        SMALL | LONG | dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, shared_expert_intermediate_size=32, mlp_only_layers=[]),
        ["shared_expert_gate", "gate"],
        [],
    ),
    "qwen35": (
        "Qwen3_5ForCausalLM",
        SMALL | LONG | dict(
            head_dim=16, layer_types=["linear_attention", "full_attention"], linear_num_key_heads=2, linear_num_value_heads=4,
            linear_key_head_dim=16, linear_value_head_dim=16, linear_conv_kernel_dim=4, full_attention_interval=2,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5, mrope_section=[2, 1, 1]),
        ),
        ["in_proj_qkv", "in_proj_z", "in_proj_a", "in_proj_b", "out_proj"],
        [],
    ),
    "gemma3": ("Gemma3ForCausalLM", SMALL | LONG | dict(head_dim=16, layer_types=["sliding_attention", "full_attention"]), [], []),
    "gemma4": (
        "Gemma4ForCausalLM",
        SMALL | LONG | dict(
            head_dim=16, global_head_dim=16, num_kv_shared_layers=0, hidden_size_per_layer_input=8, vocab_size_per_layer_input=40,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters=dict(
                full_attention=dict(rope_type="proportional", rope_theta=1e6, partial_rotary_factor=0.25),
                sliding_attention=dict(rope_type="default", rope_theta=1e4),
            ),
        ),
        ["per_layer_input_gate", "per_layer_projection"],
        [],
    ),
    "falcon": (
        "FalconForCausalLM",
        dict(vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_kv_heads=2, new_decoder_architecture=True,
             bias=False, alibi=False, max_position_embeddings=64),
        ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
        [],
    ),
    "baichuan": ("BaichuanForCausalLM", SMALL | dict(num_key_value_heads=4, model_max_length=64, max_position_embeddings=64, rms_norm_eps=1e-6), ["W_pack"], []),
    "deepseek2": (
        "DeepseekV2ForCausalLM",
        SMALL | LONG | dict(
            num_key_value_heads=4, q_lora_rank=16, kv_lora_rank=16, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16, head_dim=8,
            n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=32, first_k_dense_replace=1,
            n_group=1, topk_group=1,
        ),
        ["mlp.gate"],
        ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj"],
    ),
    "qwen2vl": (
        "Qwen2_5_VLForConditionalGeneration",
        dict(text_config=SMALL | LONG | dict(rope_parameters=dict(rope_type="default", rope_theta=10000.0, mrope_section=[2, 1, 1])),
             vision_config=dict(depth=1, hidden_size=16, intermediate_size=16, num_heads=2, out_hidden_size=32, fullatt_block_indexes=[0])),
        [],
        ["visual"],
    ),
    "t5": (
        "T5ForConditionalGeneration",
        dict(vocab_size=40, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_decoder_layers=1, num_heads=4, feed_forward_proj="gated-gelu",
             tie_word_embeddings=False, decoder_start_token_id=0),
        ["SelfAttention.q", "SelfAttention.k", "SelfAttention.v", "SelfAttention.o", "EncDecAttention.q", "EncDecAttention.k",
         "EncDecAttention.v", "EncDecAttention.o", "wi_0", "wi_1", "wo", "lm_head"],
        [],
    ),
}
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def write(folder: Path):
    with tempfile.TemporaryDirectory() as sources:
        subprocess.run(["git", "clone", "--quiet", str(BUNDLE), sources], check=True, stderr=subprocess.DEVNULL)
        sys.path[:0] = [sources, f"{sources}/gguf-py"]
        # The converter needs the gguf that lies beside it.
        for module in [module for module in sys.modules if module.split(".")[0] == "gguf"]:
            del sys.modules[module]
        for name in os.environ.get("MODELS", " ".join(MODELS)).split():
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir(parents=True)
            with tempfile.TemporaryDirectory() as scratch:
                write_model(folder / name, Path(scratch), *MODELS[name])
            print(name, flush=True)


def write_model(folder, scratch, class_name, options, more, without):
    base = scratch / "base"
    make_base(base, class_name, options)
    weights = {}
    for path in sorted(base.glob("*.safetensors")):
        weights |= load_file(path)
    random = np.random.default_rng(7)
    factors = {}
    for name in sorted(weights):
        module = name.removesuffix(".weight")
        ends = lambda names: any(module == end or module.endswith(f".{end}") for end in names)  # noqa: E731
        if weights[name].ndim == 2 and name.endswith(".weight") and ends(LINEAR + more) and not any(part in module for part in without):
            rows, cols = weights[name].shape
            if module.endswith("embed_tokens"):
                rows, cols = cols, rows
            factors[module] = (random.normal(size=(RANK, cols)).astype("f4"), random.normal(size=(rows, RANK)).astype("f4"))
    merged = dict(weights)
    for module, (a, b) in factors.items():
        delta = ALPHA / RANK * (b.astype("f8") @ a)
        merged[f"{module}.weight"] = (weights[f"{module}.weight"] + (delta.T if module.endswith("embed_tokens") else delta)).astype("f4")
    shutil.copytree(base, scratch / "merged")
    for path in (scratch / "merged").glob("*.safetensors*"):
        path.unlink()
    save_file(merged, scratch / "merged" / "model.safetensors", {"format": "pt"})
    for kind in ("base", "merged"):
        convert(scratch / kind, folder / f"{kind}.gguf")
    shutil.copy(base / "config.json", folder / "config.json")
    write_adapter(folder, factors)


def make_base(folder, class_name, options):
    torch.manual_seed(5)
    if class_name == "BaichuanForCausalLM":
        # Not in Transformers: a Llama whose Q, K and V are packed.
        make_base(folder, "LlamaForCausalLM", options)
        weights = load_file(folder / "model.safetensors")
        for layer in range(options["num_hidden_layers"]):
            path = f"model.layers.{layer}.self_attn."
            parts = [weights.pop(f"{path}{part}_proj.weight") for part in "qkv"]
            weights[f"{path}W_pack.weight"] = np.concatenate(parts)
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        config = {**options, "architectures": [class_name], "model_type": "baichuan"}
        (folder / "config.json").write_text(json.dumps(config, indent=2))
        return
    model = getattr(transformers, class_name)
    base = model(model.config_class(**options)).float()
    with torch.no_grad():
        for path, parameter in base.named_parameters():
            if parameter.ndim >= 2:
                parameter.normal_(0, 0.1)
    base.save_pretrained(folder)


def convert(folder, out):
    """With a vocabulary of nothing but numbers, since tokens go in by their numbers."""
    import gguf
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class

    hparams = ModelBase.load_hparams(folder, False)
    if hparams["model_type"].startswith("gemma4"):
        # Transformers keeps it by layers, where the converter does not look for it.
        hparams["global_head_dim"] = hparams["head_dim"]
    model_class = get_model_class(get_model_architecture(hparams, ModelType.TEXT))

    class Tiny(model_class):
        model_arch = model_class.model_arch
        no_mtp = True

        def set_vocab(self):
            add_vocabulary(self.gguf_writer, 40)

        def modify_tensors(self, data_torch, name, bid):
            # The converter of Baichuan calls itself without end for all but the packed projection.
            if self.hf_arch == "BaichuanForCausalLM" and "W_pack" not in name:
                return ModelBase.modify_tensors(self, data_torch, name, bid)
            return super().modify_tensors(data_torch, name, bid)

    vocabulary = {"model": {"vocab": {f"t{i}": i for i in range(40)}}, "added_tokens": []}
    (folder / "tokenizer.json").write_text(json.dumps(vocabulary))
    Tiny(folder, gguf.LlamaFileType.ALL_F32, out, hparams=hparams, eager=True).write()


def write_adapter(folder, factors):
    tensors = {}
    for module, (a, b) in factors.items():
        is_embedding = module.endswith("embed_tokens")
        names = ("lora_embedding_A", "lora_embedding_B") if is_embedding else ("lora_A.weight", "lora_B.weight")
        tensors |= {f"base_model.model.{module}.{name}": array for name, array in zip(names, (a, b))}
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    targets = sorted({module.split(".")[-1] for module in factors})
    config = dict(peft_type="LORA", r=RANK, lora_alpha=ALPHA, target_modules=targets, base_model_name_or_path=f"tiny/{folder.name}")
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2))


if __name__ == "__main__":
    write(Path(__file__).resolve().parent.parent / "src/gguf/models/fixtures")
