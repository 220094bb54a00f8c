"""What PEFT's `add_weighted_adapter` makes of three adapters, with the random masks that it drew."""

import shutil
from pathlib import Path

import torch
from models import gpt2, llama, make, trained
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft_goldens import save
from safetensors.torch import save_file

WEIGHTS = [0.7, -0.4, 1.1]
DENSITY = 0.6
FACTORS = ["linear", "ties", "dare_linear", "dare_ties", "magnitude_prune"]
PRODUCTS = ["svd", "ties_svd", "dare_linear_svd", "dare_ties_svd", "magnitude_prune_svd"]


def write(folder: Path):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    targets = ["q_proj", "v_proj", "embed_tokens"]
    adapters = {name: dict(r=2, lora_alpha=alpha, target_modules=targets) for name, alpha in [("a", 4), ("b", 3), ("c", 5)]}
    model = make(llama)
    for seed, (name, config) in enumerate(adapters.items()):
        save(trained(make(llama), seed=seed, **config), folder / name)
    wide = dict(r=3, lora_alpha=2, use_rslora=True, target_modules=["q_proj"])
    save(trained(make(llama), seed=9, **wide), folder / "wide")

    from peft import PeftModel

    model = PeftModel.from_pretrained(model, folder / "a", adapter_name="a")
    for name in ["b", "c", "wide"]:
        model.load_adapter(folder / name, adapter_name=name)
    tensors = {}
    for kind in [*FACTORS, *PRODUCTS, "cat"]:
        record(model, kind, ["a", "b", "c"], tensors)
    record(model, "ties", ["a", "b", "c"], tensors, majority_sign_method="frequency", label="ties_frequency")
    record(model, "svd", ["a", "b", "c"], tensors, svd_rank=1, label="svd_rank_1")
    record(model, "cat", ["a", "wide", "b"], tensors, label="cat_wide")
    record(model, "svd", ["a", "wide", "b"], tensors, svd_rank=3, label="svd_wide")
    save_file(tensors, folder / "expected.safetensors")


def record(model, kind, adapters, tensors, label=None, **options):
    label = label or kind
    masks = []
    real = torch.bernoulli

    def bernoulli(*arguments, **keywords):
        masks.append(real(*arguments, **keywords))
        return masks[-1]

    torch.manual_seed(3)
    torch.bernoulli = bernoulli
    try:
        model.add_weighted_adapter(adapters, WEIGHTS, label, kind, density=DENSITY, **options)
    finally:
        torch.bernoulli = real
    layers = [(path, layer) for path, layer in model.get_base_model().named_modules() if isinstance(layer, LoraLayer)]
    drawn = iter(masks)
    for path, layer in layers:
        if label in layer.lora_A:
            a, b = layer.lora_A[label].weight, layer.lora_B[label].weight
        elif label in layer.lora_embedding_A:
            a, b = layer.lora_embedding_A[label], layer.lora_embedding_B[label]
        else:
            continue
        tensors[f"{label}.{path}.A"] = a.detach().clone().contiguous()
        tensors[f"{label}.{path}.B"] = (b * layer.scaling[label]).detach().clone().contiguous()
        if not kind.startswith("dare"):
            continue
        for part in ["delta"] if kind.endswith("svd") else ["A", "B"]:
            for i in range(len(adapters)):
                mask = next(drawn).to(torch.uint8)
                # PEFT takes the change of an embedding as [in, out].
                if part == "delta" and label in layer.lora_embedding_A:
                    mask = mask.T
                tensors[f"{label}.{path}.mask.{part}.{i}"] = mask.contiguous()
    assert next(drawn, None) is None
    model.delete_adapter(label)
