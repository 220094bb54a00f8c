"""gradients.jsonl.gz: fused operators and whole exports, with outputs and gradients by PyTorch's autograd in float64.

usage: python gradients.py gradients.jsonl.gz

A line is one case: a model, its inputs, a random direction for its first output, that output, and the gradients of their
product with respect to inputs and to what goes into the projections.
"""
import base64
import contextlib
import gzip
import io
import json
import logging
import os
import sys
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import onnx
import torch
import transformers as T
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.transformers import optimizer

import made_by
from interpreter import Run, to_t
from variants import VARIANTS

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECTIONS = {"MatMul", "Gemm", "MatMulNBits", "FusedMatMul", "DynamicQuantizeMatMul", "MatMulInteger"}


def packed(array):
    array = np.ascontiguousarray(array)
    array = array.astype(np.float32) if array.dtype == np.float64 else array
    return {"dtype": array.dtype.name, "dims": list(array.shape), "data": base64.b64encode(array.tobytes()).decode()}


def case(name, model, feeds, wrt, **more):
    opset = max(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    values, leaves = Run(model, opset, None)(feeds, set(wrt))
    output = model.graph.output[0].name
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    seed = rng.standard_normal(tuple(values[output].shape)).astype(np.float32)
    names = list(leaves)
    loss = (values[output] * to_t(seed)).sum()
    found = torch.autograd.grad(loss, [leaves[each] for each in names], allow_unused=True)
    gradients = {each: packed(g.numpy()) for each, g in zip(names, found) if g is not None and g.numel() > 0}
    return {
        "name": name,
        "inputs": {each: packed(value) for each, value in feeds.items()},
        "output": output,
        "seed": packed(seed),
        "expected": packed(values[output].detach().numpy()),
        "gradients": gradients,
        **more,
    }


def inline(model):
    return {"bytes": base64.b64encode(model.SerializeToString()).decode()}


def node_case(name, op, inputs, options):
    options = dict(options)
    outputs = [f"y{i}" for i in range(options.pop("outputs", 1))]
    constants = options.pop("constants", [])
    domain = options.pop("domain", "com.microsoft")
    opset = options.pop("opset", 20)
    names = ["" if value is None else f"x{i}" for i, value in enumerate(inputs)]
    node = helper.make_node(op, names, outputs, domain=domain, name=op, **options)
    info = lambda i: helper.make_tensor_value_info(f"x{i}", helper.np_dtype_to_tensor_dtype(inputs[i].dtype), inputs[i].shape)
    fed = [i for i, value in enumerate(inputs) if value is not None and i not in constants]
    graph = helper.make_graph(
        [node], "case", [info(i) for i in fed], [helper.make_tensor_value_info("y0", 1, None)],
        [numpy_helper.from_array(inputs[i], f"x{i}") for i in constants])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    feeds = {f"x{i}": inputs[i] for i in fed}
    wrt = [each for each, value in feeds.items() if value.dtype == np.float32]
    return case(f"{op}: {name}", model, feeds, wrt, **inline(model))


def hidden_values(model, feeds):
    """What goes into the projections, but for weights."""
    values, _ = Run(model, max(e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), None)(feeds, ())
    constants = {each.name for each in model.graph.initializer}
    names = [i for node in model.graph.node if node.op_type in PROJECTIONS for i in node.input[:2] if i not in constants]
    return [i for i in dict.fromkeys(names) if values[i] is not None and values[i].is_floating_point()]


SMALL = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=23)


class Output(torch.nn.Module):
    def __init__(self, model, output):
        super().__init__()
        self.model, self.output = model, output

    def forward(self, input_ids, attention_mask):
        extra = {"use_cache": False} if hasattr(self.model.config, "use_cache") else {}
        return getattr(self.model(input_ids=input_ids, attention_mask=attention_mask, **extra), self.output)


def export(model, output, feeds):
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    path = tempfile.mktemp(suffix=".onnx")
    axes = {0: "batch", 1: "sequence"}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), torch.no_grad():
        torch.onnx.export(
            Output(model.eval().float(), output), tuple(torch.from_numpy(each) for each in feeds.values()), path,
            input_names=list(feeds), output_names=[output], opset_version=17, dynamo=False,
            dynamic_axes={name: axes for name in feeds})
    return path


def models(feeds):
    """Exported in float32, since the interpreter makes float64 the default."""
    torch.set_default_dtype(torch.float32)
    exports = list(exported(feeds))
    torch.set_default_dtype(torch.float64)
    return exports


def exported(feeds):
    torch.manual_seed(1)
    eager = dict(attn_implementation="eager")
    bert = export(T.BertModel(T.BertConfig(**SMALL, max_position_embeddings=16, **eager)), "last_hidden_state", feeds)
    gpt2 = T.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=23, n_positions=16, **eager)
    gpt2 = export(T.GPT2LMHeadModel(gpt2), "logits", feeds)
    llama = T.LlamaConfig(**SMALL, num_key_value_heads=1, max_position_embeddings=16, **eager)
    llama = export(T.LlamaForCausalLM(llama), "logits", feeds)
    t5 = T.T5Config(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, vocab_size=23, feed_forward_proj="gated-gelu", **eager)
    t5 = export(T.T5EncoderModel(t5), "last_hidden_state", feeds)
    fused = lambda path, kind: optimizer.optimize_model(path, kind, num_heads=2, hidden_size=16, opt_level=0, use_gpu=False)
    yield "BERT, fused by onnxruntime", fused(bert, "bert").model
    half = fused(bert, "bert")
    half.convert_float_to_float16(keep_io_types=True)
    yield "BERT, fused, float16", half.model
    yield "GPT-2", onnx.load(gpt2)
    yield "GPT-2, fused by onnxruntime", fused(gpt2, "gpt2").model
    yield "Llama", onnx.load(llama)
    yield "T5 encoder", onnx.load(t5)
    quantize_dynamic(bert, bert + ".int8", weight_type=QuantType.QInt8, per_channel=True)
    yield "BERT, dynamically quantised", onnx.load(bert + ".int8")
    blocks = MatMulNBitsQuantizer(onnx.load(llama), 4, 16, is_symmetric=False, accuracy_level=4)
    blocks.process()
    yield "Llama, 4 bits", blocks.model.model


def fixture_cases():
    for name in ("bert-legacy", "gpt2-legacy", "llama-dynamo"):
        model = onnx.load(f"{HERE}/../fixtures/{name}/model.onnx")
        rng = np.random.default_rng(5)
        mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
        feeds = {"input_ids": rng.integers(3, 99, (2, 4)), "attention_mask": mask, "token_type_ids": 0 * mask}
        feeds = {each.name: feeds[each.name] for each in model.graph.input}
        yield case(name, model, feeds, hidden_values(model, feeds)[::4], file=f"{name}/model.onnx")


def main():
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    made_by.check_versions()
    lines = [node_case(*variant) for variant in VARIANTS]
    feeds = {"input_ids": np.array([[3, 5, 7, 9], [4, 6, 8, 10]]), "attention_mask": np.array([[1, 1, 1, 1], [1, 1, 1, 0]])}
    for name, model in models(feeds):
        del model.graph.value_info[:]
        lines.append(case(name, model, feeds, hidden_values(model, feeds), **inline(model)))
    lines.extend(fixture_cases())
    with gzip.GzipFile(sys.argv[1], "wb", compresslevel=9, mtime=0) as file:
        file.write(json.dumps({"versions": made_by.pinned()}).encode() + b"\n")
        for line in lines:
            file.write(json.dumps(line).encode() + b"\n")
    path = Path(sys.argv[1])
    made_by.note(path.parent, sorted(path.parent.glob("*.gz")))
    print(f"{len(lines)} cases, {os.path.getsize(sys.argv[1])} bytes")


main()
