"""Next-token probabilities of the GGUF fixtures in llama.cpp itself, without and with an adapter, and how it cuts texts into tokens.

    python gguf_llama_cpp.py                  needs node-llama-cpp (packages/formats/witness/llama-cpp) and requirements.txt

llama.cpp rounds activations where weights are in blocks; so it gets the same weights dequantised to float32, by its own `gguf` package.
Writes goldens/gguf/llama-cpp.json.
"""

import base64, json, subprocess, tempfile
from pathlib import Path

import gguf
import numpy as np
from gguf_models import FEED_FORWARD, HEAD, HEADS, KV_HEADS, MODELS, RANK, VOCABULARY, WIDTH, permute
from make import weights

HERE = Path(__file__).resolve().parent
WITNESS = HERE.parents[1] / "formats/witness/llama-cpp"
TOKENS = [(t * 29 + 7) % VOCABULARY for t in range(10)]
# llama.cpp does without the window of Phi 3, so there no more tokens than the window has.
COUNT = {"phi3": 4}
TEXTS = ["Hello, the world!", "  two  spaces\n\n\tand a tab ", "the rain in the inn is on and on.", "caf\u00e9 \u65e5\u672c \U0001f600", "in 2024, it is 3.5%?", "<|im_start|>user\nis it on?<|im_end|>"]
# Modules that the adapter has, by llama.cpp's names, and their widths.
MODULES = {"attn_q": ("self_attn.q_proj", WIDTH, HEADS * HEAD), "attn_v": ("self_attn.v_proj", WIDTH, KV_HEADS * HEAD),
           "ffn_down": ("mlp.down_proj", FEED_FORWARD, WIDTH)}


def in_float32(source, target):
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(str(target), reader.get_field("general.architecture").contents())
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            kinds = field.types
            writer.add_key_value(field.name, field.contents(), kinds[0], kinds[-1] if len(kinds) > 1 else None)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.ascontiguousarray(gguf.quants.dequantize(tensor.data, tensor.tensor_type), np.float32))
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()


def adapter(architecture, layers, target):
    writer = gguf.GGUFWriter(str(target), architecture)
    writer.add_string("general.type", "adapter"), writer.add_string("adapter.type", "lora"), writer.add_float32("adapter.lora.alpha", float(RANK))
    for layer in range(layers):
        for tensor, (module, inputs, outputs) in MODULES.items():
            if architecture == "phi3" and tensor != "ffn_down":
                continue
            path = f"model.layers.{layer}.{module}"
            a, b = weights(f"{path}.A", 0, RANK, inputs, 0.5), weights(f"{path}.B", 0, RANK, outputs, 0.5).T
            if tensor == "attn_q" and architecture in ("llama", "smollm3", "granite"):
                b = permute(b, HEADS)
            writer.add_tensor(f"blk.{layer}.{tensor}.weight.lora_a", np.ascontiguousarray(a))
            writer.add_tensor(f"blk.{layer}.{tensor}.weight.lora_b", np.ascontiguousarray(b))
    writer.add_uint32(f"{architecture}.attention.head_count", HEADS), writer.add_uint32(f"{architecture}.attention.head_count_kv", KV_HEADS)
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()


def main():
    fixtures, golden = HERE.parent / "fixtures/gguf", {"tokens": TOKENS, "texts": TEXTS, "models": {}}
    with tempfile.TemporaryDirectory() as folder:
        folder, jobs = Path(folder), []
        for name in MODELS:
            architecture = name.split("-")[0]
            in_float32(fixtures / f"{name}.gguf", folder / f"{name}.gguf")
            adapter(architecture, MODELS[name][2], fixtures / f"{name}.lora.gguf")
            base = dict(base=str(folder / f"{name}.gguf"), tokens=TOKENS[: COUNT.get(name)])
            jobs += [base | dict(out=str(folder / f"{name}.plain")),
                     base | dict(adapter=str(fixtures / f"{name}.lora.gguf"), out=str(folder / f"{name}.adapted"))]
        (folder / "jobs.json").write_text(json.dumps(jobs))
        subprocess.run(["node", "probabilities.mjs", str(folder / "jobs.json")], cwd=WITNESS, check=True)
        (folder / "texts.json").write_text(json.dumps({name: str(fixtures / f"{name}.gguf") for name in MODELS}))
        subprocess.run(["node", "tokens.mjs", str(folder / "texts.json"), json.dumps(TEXTS), str(folder / "tokens.json")], cwd=WITNESS, check=True)
        tokens = json.loads((folder / "tokens.json").read_text())
        for name in MODELS:
            pack = lambda kind: base64.b64encode(np.fromfile(folder / f"{name}.{kind}").reshape(-1, VOCABULARY)[-1].astype("<f4").tobytes()).decode()
            golden["models"][name] = dict(count=COUNT.get(name, len(TOKENS)), plain=pack("plain"), adapted=pack("adapted"), tokens=tokens[name])
    version = json.loads((WITNESS / "package.json").read_text())["dependencies"]["node-llama-cpp"]
    (HERE / "gguf/llama-cpp.json").write_text(json.dumps({"node-llama-cpp": version, **golden}) + "\n")


main()
