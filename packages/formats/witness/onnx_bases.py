"""The tiny models that the PEFT folders were trained on, as ONNX: what PEFT says of a folder's logits holds for them too."""

import shutil
from pathlib import Path

import onnx
import onnxruntime
import torch
from models import INPUT_IDS, bert, gpt2, llama, logits, make


class Logits(torch.nn.Module):
    """A model from tokens to logits alone; its modules keep their paths behind `model.`"""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        return self.model(input_ids=input_ids, **({"use_cache": False} if self.model.can_generate() else {})).logits


def write(folder: Path):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for architecture in (llama, bert, gpt2):
        path = folder / f"{architecture.__name__}.onnx"
        model = make(architecture)
        program = torch.onnx.export(
            Logits(model).eval(), (INPUT_IDS,), input_names=["input_ids"], output_names=["logits"], opset_version=18,
            dynamic_shapes=({0: torch.export.Dim("rows", min=1, max=64), 1: torch.export.Dim("tokens", min=2, max=32)},),
            dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
        onnx.save(without_traces(program.model_proto), path)
        (ours,) = onnxruntime.InferenceSession(path).run(None, {"input_ids": INPUT_IDS.numpy()})
        difference = (torch.from_numpy(ours) - logits(model)).abs().max()
        assert difference < 1e-6, (path, difference)


def without_traces(proto):
    """Without what names the exporter's own files and lines; the scopes, from which modules get their names, stay."""
    for node in proto.graph.node:
        kept = [entry for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
        node.doc_string = ""
    for value in [*proto.graph.value_info, *proto.graph.input, *proto.graph.output]:
        del value.metadata_props[:]
    for tensor in proto.graph.initializer:
        del tensor.metadata_props[:]
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    return proto
