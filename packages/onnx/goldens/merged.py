"""Merged decoders as Optimum writes them: one graph whose only `If` chooses, by `use_cache_branch`, between a decoder without past
keys and values and one with them, which share their weights. Of a tiny Llama and a tiny T5 with random weights.

Source: `merge_decoders` of optimum-onnx (optimum/onnx/graph_transformations.py), whose inputs, names and order these have.
"""

import tempfile
import warnings
from pathlib import Path

import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from transformers import DynamicCache, EncoderDecoderCache, LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

VOCABULARY = 128


def spread(model):
    """Weights large enough that every token and module counts."""
    generator = torch.Generator().manual_seed(7)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            parameter.data = torch.randn(parameter.shape, generator=generator).float().to(parameter) * parameter.shape[-1] ** -0.5
    return model.eval()


def llama():
    torch.manual_seed(5)
    return spread(LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        head_dim=8, max_position_embeddings=64, bos_token_id=0, eos_token_id=0, tie_word_embeddings=False)))


def t5():
    torch.manual_seed(6)
    return spread(T5ForConditionalGeneration(T5Config(
        vocab_size=VOCABULARY, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_decoder_layers=1, num_heads=2,
        relative_attention_num_buckets=8, relative_attention_max_distance=16, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)))


class LlamaDecoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, position_ids, *past):
        cache = DynamicCache()
        if past:
            cache.update(*past, 0)
        out = self.model(input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, past_key_values=cache)
        return out.logits, cache.layers[0].keys, cache.layers[0].values


class T5Decoder(torch.nn.Module):
    """Behind past keys and values it takes those of the encoder from there, and gives none."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, encoder_attention_mask, input_ids, *rest):
        own, cross = DynamicCache(), DynamicCache()
        hidden, past = (rest[0], rest[1:]) if len(rest) == 1 else (zeros(rest[0].shape[0], 1, 16), rest)
        if past:
            own.update(*past[:2], 0)
            cross.update(*past[2:], 0)
        cache = EncoderDecoderCache(own, cross)
        if past:
            cache.is_updated[0] = True
        out = self.model(encoder_outputs=(hidden,), attention_mask=encoder_attention_mask, decoder_input_ids=input_ids, past_key_values=cache)
        layers = [own.layers[0].keys, own.layers[0].values]
        return (out.logits, *layers) if past else (out.logits, *layers, cross.layers[0].keys, cross.layers[0].values)


def exported(module, inputs, outputs):
    """By torch's first exporter. inputs: name -> (tensor, names of its dynamic axes); outputs: name -> names of its axes."""
    axes = {name: dims for name, (_, dims) in inputs.items()} | outputs
    values = tuple(value for value, _ in inputs.values())
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = str(Path(folder) / "model.onnx")
        torch.onnx.export(module, values, path, dynamo=False, opset_version=17, input_names=list(inputs), output_names=list(outputs),
                          dynamic_axes=axes)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = path
        onnxruntime.InferenceSession(path, options)
        return shortened(onnx.load(path))


class T5Encoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def is_small(tensor):
    """What Optimum leaves in the branches: scalars, and shapes."""
    return len(tensor.dims) == 0 or (len(tensor.dims) == 1 and tensor.data_type in (TensorProto.INT32, TensorProto.INT64))


def shortened(model):
    """With names of inputs, outputs, weights and the nodes that take weights only, since committed files are to be small."""
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer if not is_small(tensor)}
    kept = weights | {value.name for value in [*graph.input, *graph.output]}
    short = {}
    shorten = lambda name: name if name in kept or not name else short.setdefault(name, f"v{len(short)}")
    for tensor in graph.initializer:
        tensor.name = shorten(tensor.name)
    for node in graph.node:
        node.input[:], node.output[:] = map(shorten, node.input), map(shorten, node.output)
        if not weights.intersection(node.input):
            node.name = ""
    del graph.value_info[:]
    return model


def merged(without, behind):
    """What Optimum's `merge_decoders` makes of two models: weights go around the `If`, where equal ones are one."""
    weights, digests = [], {}
    for model in (without, behind):
        graph, renamed = model.graph, {}
        for tensor in list(graph.initializer):
            if is_small(tensor):
                continue
            key = (tensor.data_type, tuple(tensor.dims), tensor.raw_data)
            if key not in digests:
                digests[key] = f"{tensor.name}_merged_{sum(name.startswith(tensor.name + '_merged') for name in digests.values())}"
                weights.append(TensorProto())
                weights[-1].CopyFrom(tensor)
                weights[-1].name = digests[key]
            renamed[tensor.name] = digests[key]
            graph.initializer.remove(tensor)
        for node in graph.node:
            node.input[:] = [renamed.get(name, name) for name in node.input]
    first, second = without.graph, behind.graph
    for output in first.output:
        if output.name not in {each.name for each in second.output}:
            dims = [0 if dim.dim_param and axis == 0 else dim.dim_value or 1 for axis, dim in enumerate(output.type.tensor_type.shape.dim)]
            empty = helper.make_tensor("empty", TensorProto.FLOAT, dims, [])
            second.node.append(helper.make_node("Constant", [], [output.name], value=empty))
    inputs = {each.name: each for each in [*second.input, *first.input]}
    inputs = [inputs[name] for name in dict.fromkeys(each.name for each in [*first.input, *second.input])]
    branches = {
        "else_branch": helper.make_graph(first.node, "no_past", [], first.output, list(first.initializer)),
        "then_branch": helper.make_graph(second.node, "with_past", [], first.output, list(second.initializer)),
    }
    choice = helper.make_tensor_value_info("use_cache_branch", TensorProto.BOOL, [1])
    names = [each.name for each in first.output]
    node = helper.make_node("If", [choice.name], names, name="optimum::if", **branches)
    graph = helper.make_graph([node], "merged", [*inputs, choice], first.output, weights)
    return helper.make_model(graph, producer_name="optimum-onnx", opset_imports=without.opset_import[:1], ir_version=9)


BATCH = {0: "batch_size"}
TOKENS = {0: "batch_size", 1: "sequence_length"}
PAST = {0: "batch_size", 2: "past_sequence_length"}


def integers(*dims):
    return torch.ones(dims, dtype=torch.int64)


def zeros(*dims):
    return torch.zeros(dims, dtype=torch.float32)


def merged_llama():
    module = LlamaDecoder(llama().float())
    outputs = {"logits": TOKENS, "present.0.key": {0: "batch_size", 2: "total"}, "present.0.value": {0: "batch_size", 2: "total"}}
    inputs = {name: (integers(2, 3), TOKENS) for name in ("input_ids", "attention_mask", "position_ids")}
    past = {f"past_key_values.0.{kind}": (zeros(2, 1, 4, 8), PAST) for kind in ("key", "value")}
    longer = {0: "batch_size", 1: "past_sequence_length + sequence_length"}
    behind = {**inputs, "attention_mask": (integers(2, 7), longer), **past}
    return merged(exported(module, inputs, outputs), exported(module, behind, outputs))


def merged_t5():
    module = T5Decoder(t5().float())
    present = {f"present.0.{side}.{kind}": {0: "batch_size", 2: f"{side}_length"} for side in ("decoder", "encoder") for kind in ("key", "value")}
    outputs = {"logits": {0: "batch_size", 1: "decoder_sequence_length"}, **present}
    encoder = {0: "batch_size", 1: "encoder_sequence_length"}
    mask = {"encoder_attention_mask": (integers(2, 5), encoder)}
    tokens = {"input_ids": (integers(2, 3), {0: "batch_size", 1: "decoder_sequence_length"})}
    hidden = {"encoder_hidden_states": (zeros(2, 5, 16), encoder)}
    lengths = {"decoder": (4, "past_decoder_sequence_length"), "encoder": (5, "encoder_sequence_length")}
    past = {f"past_key_values.0.{side}.{kind}": (zeros(2, 2, length, 8), {0: "batch_size", 2: axis})
            for side, (length, axis) in lengths.items() for kind in ("key", "value")}
    first = exported(module, {**mask, **tokens, **hidden}, outputs)
    return merged(first, exported(module, {**mask, **tokens, **past}, dict(list(outputs.items())[:3])))


def t5_encoder():
    axes = {0: "batch_size", 1: "encoder_sequence_length"}
    return exported(T5Encoder(t5().float()), {name: (integers(2, 5), axes) for name in ("input_ids", "attention_mask")}, {"last_hidden_state": axes})
