"""Adapters as onnxruntime's own AdapterFormat writes them, and a graph of Olive's kind that takes them as inputs."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

WIDTHS = dict(q_proj=(12, 8), v_proj=(12, 5))
DTYPES = ["uint8", "int8", "uint16", "int16", "int32", "int64", "bool", "float16", "float64", "uint32", "uint64"]


def write(folder: Path):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(4)
    onnx.save(graph(rng), folder / "olive.onnx")
    parameters = {}
    for module, (width, out) in WIDTHS.items():
        parameters[weight(module, "A")] = rng.standard_normal((width, 2)).astype(np.float32)
        parameters[weight(module, "B")] = rng.standard_normal((2, out)).astype(np.float32)
    export(parameters, folder / "olive.onnx_adapter", 3, 7)
    export({name: value.astype(np.float16) for name, value in parameters.items()}, folder / "half.onnx_adapter", 1, 1)
    every = {f"every.{name}": np.arange(6).reshape(2, 3).astype(name) for name in DTYPES}
    export(every | {"empty": np.zeros((3, 0), np.float32)}, folder / "every-dtype.onnx_adapter", 0, -1)
    x = rng.standard_normal((3, 12)).astype(np.float32)
    outputs = run(folder, "olive", x, "") | run(folder, None, x, "base.")
    save_file({"x": x} | parameters | outputs, folder / "expected.safetensors")


def weight(module, part):
    return f"model.layers.0.self_attn.{module}.lora_{part}.weight"


def graph(rng):
    """Parameters are inputs with a default of rank 0, as Olive's ExtractAdapters pass leaves them."""
    nodes, inputs, initializers, outputs = [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 12])], [], []
    for module, (width, out) in WIDTHS.items():
        a, b = weight(module, "A"), weight(module, "B")
        inputs.append(helper.make_tensor_value_info(a, TensorProto.FLOAT, [width, "lora_r"]))
        inputs.append(helper.make_tensor_value_info(b, TensorProto.FLOAT, ["lora_r", out]))
        initializers.append(numpy_helper.from_array(rng.standard_normal((width, out)).astype(np.float32), module))
        initializers.append(numpy_helper.from_array(np.zeros((width, 0), np.float32), a))
        initializers.append(numpy_helper.from_array(np.zeros((0, out), np.float32), b))
        nodes.append(helper.make_node("MatMul", ["x", module], [f"{module}.base"]))
        nodes.append(helper.make_node("MatMul", ["x", a], [f"{module}.u"]))
        nodes.append(helper.make_node("MatMul", [f"{module}.u", b], [f"{module}.delta"]))
        nodes.append(helper.make_node("Add", [f"{module}.base", f"{module}.delta"], [f"{module}.y"]))
        outputs.append(helper.make_tensor_value_info(f"{module}.y", TensorProto.FLOAT, ["n", out]))
    model = helper.make_graph(nodes, "olive", inputs, outputs, initializers)
    return helper.make_model(model, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def export(parameters, path, adapter_version, model_version):
    adapter = onnxruntime.AdapterFormat()
    adapter.set_adapter_version(adapter_version)
    adapter.set_model_version(model_version)
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(value) for name, value in parameters.items()}
    adapter.set_parameters(values)
    adapter.export_adapter(str(path))


def run(folder, adapter, x, prefix):
    """What onnxruntime itself computes, with LoraAdapter."""
    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(folder / "olive.onnx")
    options = onnxruntime.RunOptions()
    if adapter is not None:
        lora = onnxruntime.LoraAdapter()
        lora.Load(str(folder / f"{adapter}.onnx_adapter"))
        options.add_active_adapter(lora)
    outputs = session.run(None, {"x": x}, options)
    return {prefix + output.name: value for output, value in zip(session.get_outputs(), outputs)}


