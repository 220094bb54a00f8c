"""Gradients of whole models by PyTorch in float64, as goldens for packages/onnx/src/goldens.test.ts.

`npm run goldens -- models` calls it with ONNX_MODELS, the folder that holds minilm/model.onnx and tiny-llama's hf and genai-int4.
Adapters are a formula of their module's name (`weights`), which the test repeats, so that only gradients are stored. Makes
fixtures/bert-qdq too, bert-legacy with weights of 8 bits, and the merged decoders of fixtures/llama-merged and t5-merged (merged.py).
"""

import base64, hashlib, json, sys
from pathlib import Path

import made_by
import merged
import numpy as np
import onnx
import torch
import transformers
from onnx import helper, numpy_helper
from transformers import BertConfig, BertModel, DynamicCache, LlamaForCausalLM

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
    """LoRA on linear layers and embeddings, an adapter for each row: y += (x A) B with scaling 1, x one-hot for an embedding."""

    def __init__(self, model, names, rows, dtype=torch.float64):
        self.a, self.b = {}, {}
        for name, module in model.named_modules():
            if name not in names:
                continue
            outputs, inputs = (module.embedding_dim, module.num_embeddings) if isinstance(module, torch.nn.Embedding) else module.weight.shape
            stack = lambda part, width: np.stack([weights(f"{name}.{part}", r, RANK, width, 0.5) for r in range(rows)])
            self.a[name] = torch.tensor(stack("A", inputs), dtype=dtype).transpose(1, 2).requires_grad_()
            self.b[name] = torch.tensor(stack("B", outputs), dtype=dtype, requires_grad=True)
            module.register_forward_hook(self.hook(name))

    def hook(self, name):
        def add(_, inputs, output):
            x = inputs[0]
            if not x.is_floating_point():
                down = torch.stack([self.a[name][row][ids] for row, ids in enumerate(x)])
            else:
                down = x @ self.a[name]
            return output + down @ self.b[name]
        return add

    def gradients(self, loss):
        """dLoss/dA [rows, rank, in] and dLoss/dB [rows, rank, out] by module."""
        loss.backward()
        return {name: {"loraA": self.a[name].grad.transpose(1, 2).contiguous(), "loraB": self.b[name].grad} for name in self.a}


def packed(gradients):
    pack = lambda t: base64.b64encode(t.numpy().astype("<f4").tobytes()).decode()
    return {name: {part: pack(value) for part, value in each.items()} for name, each in gradients.items()}


def worst(gradients, exact):
    """The largest error over the largest gradient, of the tensor where that is most."""
    return max(((each[part] - exact[name][part]).abs().max() / exact[name][part].abs().max()).item()
               for name, each in gradients.items() for part in each)


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
            "cosines": [[0, 1, 0.2], [1, 2, -0.3]], "loss": loss.item(), "gradients": adapted.gradients(loss)}


def llama(folder, dtype=torch.float64):
    return LlamaForCausalLM.from_pretrained(str(folder), dtype=dtype, attn_implementation="sdpa").eval()


def past_of(model, rows, past, dtype=torch.float64):
    """Keys and values of tokens that came before, by a formula of their name."""
    heads, width = model.config.num_key_value_heads, model.config.head_dim
    part = lambda name: torch.tensor(np.stack([weights(name, r, heads, past * width, 2) for r in range(rows)]), dtype=dtype)
    cache = DynamicCache()
    for layer in range(model.config.num_hidden_layers):
        key, value = (part(f"past_key_values.{layer}.{kind}").reshape(rows, heads, past, width) for kind in ("key", "value"))
        cache.update(key, value, layer)
    return cache


def llama_case(model, padding, past=0, names=None, dtype=torch.float64):
    rows, tokens = 2, 10
    vocabulary = model.config.vocab_size
    ids = torch.tensor([[(r * 53 + t * 29 + 7) % vocabulary for t in range(tokens)] for r in range(rows)])
    short = range(tokens - 3) if padding == "right" else range(3, tokens) if past == 0 else range(tokens)
    own = torch.tensor([[1] * tokens, [1 if t in short else 0 for t in range(tokens)]])
    before = torch.tensor([[1] * past, [0 if t < 2 and padding == "left" else 1 for t in range(past)]], dtype=torch.int64).reshape(rows, past)
    mask = torch.cat([before, own], 1)
    positions = torch.where(mask == 1, mask.cumsum(1) - 1, torch.ones_like(mask))[:, past:]
    labels = torch.where(own == 1, ids, torch.full_like(ids, -100))
    if padding == "left" and past == 0:
        labels[1, 3] = -100  # its context is padding only
    linear = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head" and "k_proj" not in n]
    adapted = Adapted(model, names or linear, rows, dtype)
    cache = past_of(model, rows, past, dtype) if past else None
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache).logits
    targets = labels[:, 1:]
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, vocabulary), targets.reshape(-1), ignore_index=-100)
    return {"rows": rows, "rank": RANK, "past": past, "input_ids": ids.tolist(), "attention_mask": mask.tolist(), "labels": labels.tolist(),
            "position_ids": positions.tolist(), "loss": loss.item(), "gradients": adapted.gradients(loss)}


def t5_case():
    """The decoder behind hidden states of an encoder by a formula, with ragged padding there."""
    model = merged.t5()
    rows, tokens, length = 2, 6, 5
    ids = torch.tensor([[0] + [(r * 53 + t * 29 + 7) % merged.VOCABULARY for t in range(tokens - 1)] for r in range(rows)])
    mask = torch.tensor([[1] * length, [1, 1, 1, 0, 0]])
    hidden = torch.tensor(np.stack([weights("encoder_hidden_states", r, length, 16, 2) for r in range(rows)]), dtype=torch.float64)
    names = [n for n, m in model.decoder.named_modules(prefix="decoder") if isinstance(m, torch.nn.Linear)]
    adapted = Adapted(model, names, rows)
    logits = model(encoder_outputs=(hidden,), attention_mask=mask, decoder_input_ids=ids).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, merged.VOCABULARY), ids[:, 1:].reshape(-1))
    return {"rows": rows, "rank": RANK, "input_ids": ids.tolist(), "encoder_attention_mask": mask.tolist(), "labels": ids.tolist(),
            "loss": loss.item(), "gradients": adapted.gradients(loss)}


def dequantised(path, folder, dtype):
    """The Llama of a folder with the weights that the int4 export holds: (code - 8) * scale in blocks of 32, the low half of a byte first."""
    constants = {t.name: numpy_helper.to_array(t, str(path.parent)) for t in onnx.load(str(path), load_external_data=False).graph.initializer}

    def weight(name):
        codes, scales = constants[f"{name}.MatMul.weight_Q4"], constants[f"{name}.MatMul.weight_scales"]
        nibbles = np.stack([codes & 15, codes >> 4], -1).reshape(*codes.shape[:2], -1).astype(np.float64) - 8
        return torch.tensor((nibbles * scales.astype(np.float64)[:, :, None]).reshape(len(codes), -1))

    model = llama(folder, dtype)
    state = model.state_dict()
    for name in state:
        path = name.removesuffix(".weight")
        if path in ("model.embed_tokens", "lm_head"):
            state[name] = weight("lm_head")
        elif path.split(".")[-1] in ("q_proj", "k_proj", "v_proj"):
            whole = weight(path.rsplit(".", 2)[0] + ".attn.qkv_proj").split([64, 32, 32])
            state[name] = whole["qkv".index(path.split(".")[-1][0])]
        elif path.endswith("_proj"):
            state[name] = weight(path.replace("self_attn", "attn"))[:, : state[name].shape[1]]
    model.load_state_dict({name: value.to(dtype) for name, value in state.items()})
    return model


def int4_case(path, folder):
    """With PyTorch's own error in float32 beside it, which bounds ours."""
    case = llama_case(dequantised(path, folder, torch.float64), "right")
    single = llama_case(dequantised(path, folder, torch.float32), "right", dtype=torch.float32)
    return {**case, "float32_error": worst(single["gradients"], case["gradients"])}


def quantise(source, target):
    """bert-legacy with the weights of its projections as int8, a scale a column, behind DequantizeLinear."""
    model = onnx.load(str(source))
    constants = {t.name: t for t in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        name = node.input[1] if node.op_type == "MatMul" else None
        if name in constants:
            values = numpy_helper.to_array(constants[name])
            scales = (np.abs(values).max(0) / 127).astype(np.float32)
            codes = np.clip(np.rint(values / scales), -127, 127).astype(np.int8)
            parts = {"codes": codes, "scales": scales, "zeros": np.zeros_like(scales, dtype=np.int8)}
            model.graph.initializer.extend(numpy_helper.from_array(value, f"{name}.{part}") for part, value in parts.items())
            model.graph.initializer.remove(constants[name])
            nodes.append(helper.make_node("DequantizeLinear", [f"{name}.{part}" for part in parts], [name], f"{node.name}.dequantize", axis=1))
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(model.SerializeToString())


def qdq_case(path):
    """The file itself, node by node in PyTorch (witness/interpreter.py), its adapters written into the graph."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "witness"))
    from interpreter import Run
    model = onnx.load(str(path))
    rows, tokens = 2, 7
    ids = [[(r * 37 + t * 11 + 3) % 97 for t in range(tokens)] for r in range(rows)]
    mask = [[1] * tokens, [1] * 4 + [0] * 3]
    feeds = {"input_ids": np.array(ids), "attention_mask": np.array(mask), "token_type_ids": np.zeros((rows, tokens), dtype=np.int64)}
    constants = {t.name for t in model.graph.initializer}
    nodes, names = [], []
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type != "MatMul" or not f"{node.input[1]}.codes" in constants or not any(w in node.name for w in ("query", "value", "dense")):
            continue
        name = node.name.removeprefix("/model/").removesuffix("/MatMul").replace("/", ".")
        width = [list(t.dims) for t in model.graph.initializer if t.name == f"{node.input[1]}.codes"][0]
        for part, size in zip("AB", width):
            values = np.stack([weights(f"{name}.{part}", r, RANK, size, 0.5) for r in range(rows)])
            feeds[f"{name}.{part}"] = values.transpose(0, 2, 1) if part == "A" else values
        names.append(name)
        output = node.output[0]
        node.output[0] = f"{name}.base"
        nodes += [helper.make_node("MatMul", [node.input[0], f"{name}.A"], [f"{name}.down"]),
                  helper.make_node("MatMul", [f"{name}.down", f"{name}.B"], [f"{name}.delta"]),
                  helper.make_node("Add", [f"{name}.base", f"{name}.delta"], [output])]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    values, leaves = Run(model, 17, None)(feeds, {f"{name}.{part}" for name in names for part in "AB"})
    weight = torch.tensor(mask, dtype=torch.float64)
    pooled = (values["last_hidden_state"] * weight[:, :, None]).sum(1) / weight.sum(1, keepdim=True)
    unit = pooled / pooled.norm(dim=1, keepdim=True)
    loss = (unit[0] @ unit[1] - 0.3) ** 2
    loss.backward()
    gradient = lambda name, part: leaves[f"{name}.{part}"].grad
    gradients = {name: {"loraA": gradient(name, "A").transpose(1, 2).contiguous(), "loraB": gradient(name, "B")} for name in names}
    return {"rows": rows, "rank": RANK, "input_ids": ids, "attention_mask": mask, "cosines": [[0, 1, 0.3]], "loss": loss.item(), "gradients": gradients}


def main():
    made_by.check_versions()
    models, out = Path(sys.argv[1]), Path(sys.argv[2])
    digest = lambda p: hashlib.sha256(p.read_bytes()).hexdigest()
    about = {"torch": torch.__version__, "transformers": transformers.__version__, "onnx": onnx.__version__}
    bert, hf, int4 = models / "minilm/model.onnx", models / "tiny-llama/hf", models / "tiny-llama/genai-int4/model.onnx"
    fixtures = Path(__file__).parent.parent / "fixtures"
    qdq = fixtures / "bert-qdq/model.onnx"
    quantise(fixtures / "bert-legacy/model.onnx", qdq)
    both, t5, encoder = (fixtures / name for name in ("llama-merged/decoder_model_merged.onnx", "t5-merged/decoder_model_merged.onnx", "t5-merged/encoder_model.onnx"))
    for path, model in ((both, merged.merged_llama()), (t5, merged.merged_t5()), (encoder, merged.t5_encoder())):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(model.SerializeToString())
    embedding = ["model.embed_tokens", "model.layers.1.self_attn.q_proj"]
    cases = {
        "minilm": ([bert], lambda: minilm_case(bert)),
        "bert-qdq": ([qdq], lambda: qdq_case(qdq)),
        "llama-merged": ([both], lambda: llama_case(merged.llama(), "left")),
        "llama-merged-past": ([both], lambda: llama_case(merged.llama(), "left", past=5)),
        "t5-merged": ([t5], lambda: t5_case()),
        "llama-right": ([hf / "model.safetensors"], lambda: llama_case(llama(hf), "right")),
        "llama-left": ([hf / "model.safetensors"], lambda: llama_case(llama(hf), "left")),
        "llama-past": ([hf / "model.safetensors"], lambda: llama_case(llama(hf), "left", past=5)),
        "llama-embedding": ([hf / "model.safetensors"], lambda: llama_case(llama(hf), "right", names=embedding)),
        "llama-int4": ([int4, int4.parent / "model.onnx.data"], lambda: int4_case(int4, hf)),
    }
    for name, (files, make) in cases.items():
        hashes = {f"{path.parent.name}/{path.name}": digest(path) for path in files}
        case = make()
        text = json.dumps({"about": {**about, "sha256": hashes}, **case, "gradients": packed(case["gradients"])}, allow_nan=False)
        (out / f"{name}.json").write_text(text + "\n")
        print(name, len(text), "bytes", case.get("float32_error", ""))
    made_by.note(out, [out / f"{name}.json" for name in sorted(cases)])


if __name__ == "__main__":
    main()
