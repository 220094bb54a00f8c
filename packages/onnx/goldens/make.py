"""Gradients of whole models by PyTorch in float64, as goldens for packages/onnx/src/goldens.test.ts.

    python packages/onnx/goldens/make.py MODELS packages/onnx/goldens

MODELS holds minilm/model.onnx and tiny-llama/hf. Adapters are a formula of their module's name (`weights`), which the test
repeats, so that only gradients are stored. Needs torch, transformers, onnx, numpy; see versions in the goldens.
"""

import base64, hashlib, json, sys
from pathlib import Path

import numpy as np
import onnx
import torch
import transformers
from onnx import numpy_helper
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

RANK = 2
torch.set_default_dtype(torch.float64)


def weights(name, row, rows, cols, scale):
    """Float32 numbers in +-scale/2 that any language repeats: a hash of the name and the row, then a 32-bit generator."""
    state = 2166136261
    for byte in f"{name} {row}".encode():
        state = ((state ^ byte) * 16777619) % 2**32
    values = np.empty(rows * cols)
    for i in range(rows * cols):
        state = (state * 1664525 + 1013904223) % 2**32
        values[i] = state / 2**32 - 0.5
    return (values * scale).astype(np.float32).reshape(rows, cols)


class Adapted:
    """LoRA on linear layers, an adapter for each row: y += (x A) B with scaling 1."""

    def __init__(self, model, names, rows):
        self.a, self.b = {}, {}
        for name, module in model.named_modules():
            if name not in names:
                continue
            a = np.stack([weights(name + ".A", r, RANK, module.in_features, 0.5) for r in range(rows)])
            b = np.stack([weights(name + ".B", r, RANK, module.out_features, 0.5) for r in range(rows)])
            self.a[name] = torch.tensor(a, dtype=torch.float64, requires_grad=True)
            self.b[name] = torch.tensor(b, dtype=torch.float64, requires_grad=True)
            module.register_forward_hook(self.hook(name))

    def hook(self, name):
        def add(_, inputs, output):
            x = inputs[0]
            return output + x @ self.a[name].transpose(1, 2) @ self.b[name]
        return add

    def gradients(self, loss):
        loss.backward()
        pack = lambda t: base64.b64encode(t.grad.numpy().astype("<f4").tobytes()).decode()
        return {name: {"loraA": pack(self.a[name]), "loraB": pack(self.b[name])} for name in self.a}


def minilm(path):
    graph = onnx.load(str(path)).graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    state = {n.removeprefix("m."): torch.tensor(v, dtype=torch.float64) for n, v in constants.items() if n.startswith("m.")}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in constants:
            name = node.name.removeprefix("/m/").removesuffix("/MatMul").replace("/", ".")
            state[name + ".weight"] = torch.tensor(constants[node.input[1]].T.copy(), dtype=torch.float64)
    config = BertConfig.from_json_file(str(path.parent / "config.json"))
    model = BertModel(config, add_pooling_layer=False)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not [m for m in missing if "position_ids" not in m] and not unexpected, (missing, unexpected)
    return model.eval()


def minilm_case(path):
    model = minilm(path)
    rows, tokens = 3, 12
    ids = torch.tensor([[101] + [2000 + (r * 97 + t * 31) % 3000 for t in range(tokens - 1)] for r in range(rows)])
    mask = torch.tensor([[1 if t < tokens - 4 * r else 0 for t in range(tokens)] for r in range(rows)])
    names = [f"encoder.layer.{l}.{m}" for l in (0, 5)
             for m in ("attention.self.query", "attention.self.value", "intermediate.dense", "output.dense")]
    adapted = Adapted(model, names, rows)
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    unit = pooled / pooled.norm(dim=1, keepdim=True)
    loss = ((unit[0] @ unit[1] - 0.2) ** 2 + (unit[1] @ unit[2] + 0.3) ** 2) / 2
    return {"rows": rows, "rank": RANK, "input_ids": ids.tolist(), "attention_mask": mask.tolist(),
            "loss": loss.item(), "gradients": adapted.gradients(loss)}


def llama_case(folder, padding):
    model = LlamaForCausalLM.from_pretrained(str(folder), dtype=torch.float64, attn_implementation="sdpa").eval()
    rows, tokens = 2, 10
    ids = torch.tensor([[(r * 53 + t * 29 + 7) % 256 for t in range(tokens)] for r in range(rows)])
    short = range(tokens - 3) if padding == "right" else range(3, tokens)
    mask = torch.tensor([[1] * tokens, [1 if t in short else 0 for t in range(tokens)]])
    positions = torch.where(mask == 1, mask.cumsum(1) - 1, torch.ones_like(mask))
    labels = torch.where(mask == 1, ids, torch.full_like(ids, -100))
    if padding == "left":
        labels[1, 3] = -100  # its context is padding only
    names = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head" and "k_proj" not in n]
    adapted = Adapted(model, names, rows)
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits
    targets = labels[:, 1:]
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, 256), targets.reshape(-1), ignore_index=-100)
    return {"rows": rows, "rank": RANK, "input_ids": ids.tolist(), "attention_mask": mask.tolist(), "labels": labels.tolist(),
            "position_ids": positions.tolist(), "loss": loss.item(), "gradients": adapted.gradients(loss)}


def main():
    models, out = Path(sys.argv[1]), Path(sys.argv[2])
    digest = lambda p: hashlib.sha256(p.read_bytes()).hexdigest()
    about = {"torch": torch.__version__, "transformers": transformers.__version__, "onnx": onnx.__version__}
    bert, llama = models / "minilm/model.onnx", models / "tiny-llama/hf"
    cases = {
        "minilm": ({"model.onnx": digest(bert)}, lambda: minilm_case(bert)),
        "llama-right": ({"hf/model.safetensors": digest(llama / "model.safetensors")}, lambda: llama_case(llama, "right")),
        "llama-left": ({"hf/model.safetensors": digest(llama / "model.safetensors")}, lambda: llama_case(llama, "left")),
    }
    for name, (hashes, make) in cases.items():
        text = json.dumps({"about": {**about, "sha256": hashes}, **make()}, allow_nan=False)
        (out / f"{name}.json").write_text(text + "\n")
        print(name, len(text), "bytes")


main()
