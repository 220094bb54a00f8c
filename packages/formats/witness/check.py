"""Checks the files that `write.mjs` writes with the programs that they are for: gguf, llama.cpp, onnxruntime."""

import json
import subprocess
import tempfile
from pathlib import Path

import gguf
import numpy as np
import onnxruntime
from gguf_bases import permute, write_gpt2, write_llama
from safetensors.numpy import load_file

HERE = Path(__file__).resolve().parent
PEFT = HERE.parent / "src/peft/fixtures"
OLIVE = HERE.parent / "src/onnx-adapter/fixtures"

# `llama`, `gpt2` and `INPUT_IDS` of models.py, which needs torch.
LLAMA = dict(
    hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=40, max_position_embeddings=32, rms_norm_eps=1e-6,
)  # fmt: skip
GPT2 = dict(n_embd=16, n_inner=24, n_layer=1, n_head=4, vocab_size=40, n_positions=32)
TOKENS = [[3, 14, 15, 9, 2, 6], [5, 35, 8, 9, 7, 9]]

# What the names of cases begin with: how their base model is written, its names in llama.cpp, whose rows are permuted.
BASES = {
    "llama": (
        lambda path, weights: write_llama(path, weights, LLAMA),
        gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2),
        {"q_proj": 4, "k_proj": 2},
    ),
    "gpt2": (lambda path, weights: write_gpt2(path, weights, GPT2), gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, 1), {}),
}


def base_of(case):
    return case.split("-")[0]


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["node", HERE / "write.mjs", folder], check=True)
        cases = sorted(path.name.removesuffix(".f32.gguf") for path in folder.glob("*.f32.gguf"))
        assert len(cases) >= 6, cases
        for case in cases:
            check_gguf(folder, case)
            check_parameters(folder, case)
        check_llama_cpp(folder, cases)
        check_olive(folder)


def adapter(case):
    """A and B of each module as PEFT saved them, and the scaling that PEFT used, which the deltas tell."""
    tensors = {name: array.astype(np.float32) for name, array in load_floats(PEFT / case / "adapter_model.safetensors").items()}
    deltas = load_file(PEFT / case / "expected.safetensors")
    for path in sorted({name.split(".lora_")[0] for name in tensors if ".lora_" in name}):
        is_embedding = f"{path}.lora_embedding_A" in tensors
        names = ("lora_embedding_A", "lora_embedding_B") if is_embedding else ("lora_A.weight", "lora_B.weight")
        a, b = (tensors[f"{path}.{name}"] for name in names)
        module = path.removeprefix("base_model.model.")
        delta, product = deltas[f"{module}.delta"].astype(np.float64), b.astype(np.float64) @ a.astype(np.float64)
        yield module, a, b, float((delta * product).sum() / (product**2).sum())


def load_floats(path):
    """Also bfloat16, which numpy does not have."""
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        dtypes = {name: file.get_slice(name).get_dtype() for name in file.keys()}
    if "BF16" not in dtypes.values():
        return load_file(path)
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header, data, tensors = json.loads(raw[8 : 8 + length]), raw[8 + length :], {}
    for name, info in header.items():
        if name != "__metadata__":
            begin, end = info["data_offsets"]
            bits = np.frombuffer(data[begin:end], "<u2").astype(np.uint32) << 16
            tensors[name] = bits.view(np.float32).reshape(info["shape"])
    return tensors


def check_gguf(folder, case):
    """What gguf's own reader finds, against what PEFT saved."""
    _, names, heads_of = BASES[base_of(case)]
    reader = gguf.GGUFReader(folder / f"{case}.f32.gguf")
    fields = {key: field.contents() for key, field in reader.fields.items()}
    assert fields["general.type"] == "adapter" and fields["adapter.type"] == "lora", fields
    found = {tensor.name: tensor.data for tensor in reader.tensors}
    modules = list(adapter(case))
    assert len(found) == 2 * len(modules), (case, sorted(found))
    for module, a, b, scaling in modules:
        heads = heads_of.get(module.split(".")[-1])
        name = names.get_name(f"{module}.weight", try_suffixes=(".weight",))
        rows = permute(b, heads) if heads else b
        scale = fields["adapter.lora.alpha"] / b.shape[1]
        assert np.array_equal(found[f"{name}.lora_a"], a.T if name == "token_embd.weight" else a), (case, module)
        assert np.allclose(scale * found[f"{name}.lora_b"], scaling * rows, rtol=2e-6, atol=1e-9), (case, module)
    print(f"gguf {version('gguf')} reads {case}: {len(modules)} modules")


def check_parameters(folder, case):
    """What onnxruntime's AdapterFormat reads, against what PEFT saved, with Olive's names and layout."""
    parameters = onnxruntime.AdapterFormat.read_adapter(str(folder / f"{case}.onnx_adapter")).get_parameters()
    modules = [module for module in adapter(case) if module[0] != "model.embed_tokens"]
    assert len(parameters) == 2 * len(modules)
    for module, a, b, scaling in modules:
        assert np.array_equal(parameters[f"{module}.lora_A.weight"].numpy(), a.T)
        assert np.allclose(parameters[f"{module}.lora_B.weight"].numpy(), scaling * b.T, rtol=2e-6, atol=1e-9)
    print(f"onnxruntime {onnxruntime.__version__} reads {case}: {len(parameters)} parameters")


def check_olive(folder):
    onnxruntime.set_default_logger_severity(3)
    expected = load_file(OLIVE / "expected.safetensors")
    session = onnxruntime.InferenceSession(OLIVE / "olive.onnx")
    lora, options = onnxruntime.LoraAdapter(), onnxruntime.RunOptions()
    lora.Load(str(folder / "olive.onnx_adapter"))
    options.add_active_adapter(lora)
    for output, value in zip(session.get_outputs(), session.run(None, {"x": expected["x"]}, options)):
        assert np.allclose(value, expected[output.name], rtol=0, atol=1e-6), output.name
    print("onnxruntime runs our olive.onnx_adapter")


def check_llama_cpp(folder, cases):
    """Next-token probabilities with our adapter, against PEFT's logits, and against llama.cpp with the weights merged."""
    jobs = []

    def job(label, base, adapter_file=None):
        for i, tokens in enumerate(TOKENS):
            files = {"base": str(folder / base), "out": str(folder / f"{label}.{i}.bin")}
            jobs.append(files | ({"adapter": str(folder / adapter_file)} if adapter_file else {}) | {"tokens": tokens})

    weights = {base: load_file(PEFT / f"base-{base}.safetensors") for base in BASES}
    for base, (write, _, _) in BASES.items():
        write(folder / f"{base}.base.gguf", weights[base])
        job(f"{base}.base", f"{base}.base.gguf")
    for case in cases:
        base = base_of(case)
        deltas = {module.removeprefix("transformer."): scaling * (b.astype(np.float64) @ a) for module, a, b, scaling in adapter(case)}
        merged = {name: array + turned(deltas.get(name.removesuffix(".weight"), 0), name) for name, array in weights[base].items()}
        BASES[base][0](folder / f"{case}.merged.gguf", merged)
        job(f"{case}.merged", f"{case}.merged.gguf")
        job(f"{case}.f32", f"{base}.base.gguf", f"{case}.f32.gguf")
        job(case, f"{base}.base.gguf", f"{case}.gguf")
    (folder / "jobs.json").write_text(json.dumps(jobs))
    subprocess.run(["node", HERE / "llama-cpp/probabilities.mjs", folder / "jobs.json"], check=True)

    def result(label):
        shape = (len(TOKENS), len(TOKENS[0]), 40)
        return np.stack([np.fromfile(folder / f"{label}.{i}.bin") for i in range(len(TOKENS))]).reshape(shape)

    for case in cases:
        logits = load_file(PEFT / case / "expected.safetensors")["logits"].astype(np.float64)
        exp = np.exp(logits - logits.max(-1, keepdims=True))
        peft = exp / exp.sum(-1, keepdims=True)
        acts = np.abs(result(f"{base_of(case)}.base") - result(case)).max()
        apart = {
            "PEFT": np.abs(result(f"{case}.f32") - peft).max(),
            "merged": np.abs(result(f"{case}.f32") - result(f"{case}.merged")).max(),
            "as stored": np.abs(result(case) - result(f"{case}.merged")).max(),
        }
        is_half = case.endswith("16")
        # PEFT's own model of the halves is in 16 bits throughout; llama.cpp looks GELU up in a table of halves.
        assert apart["PEFT"] < (2e-3 if is_half else 1e-5 if base_of(case) == "gpt2" else 1e-7), (case, apart)
        assert apart["merged"] < 1e-7, (case, apart)
        assert apart["as stored"] < (1e-3 if is_half else 1e-7), (case, apart)
        assert acts > 100 * apart["merged"], (case, acts, apart)
        print(f"llama.cpp with {case}: moves probabilities by up to {acts:.1e}; apart from", {k: f"{v:.1e}" for k, v in apart.items()})


def turned(delta, name):
    """The weights of embeddings and of Conv1D are the transpose of what a change is."""
    return np.transpose(delta) if name == "model.embed_tokens.weight" or ".c_" in name else delta


def version(package):
    import importlib.metadata

    return importlib.metadata.version(package)


if __name__ == "__main__":
    main()
