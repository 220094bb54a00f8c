"""Split digits with EWC as avalanche does it, on the cases that `npm run parity -- --export=FOLDER` wrote.

    python parity.py FOLDER > outputs.json

Prints every accuracy after every session, avalanche's own ACC, BWT and forgetting, the versions, and the hashes of the cases.
"""

import hashlib
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from avalanche.benchmarks import tensors_benchmark
from avalanche.evaluation.metrics import accuracy_metrics, bwt_metrics, forgetting_metrics
from avalanche.training import EWC, Naive
from avalanche.training.plugins import EvaluationPlugin
from safetensors.torch import load_file
from torch import nn

SETTINGS = json.loads((Path(__file__).parent / "settings.json").read_text())


class Adapted(nn.Module):
    """A frozen layer and a frozen head, each with a LoRA adapter and a bias."""

    def __init__(self, case):
        super().__init__()
        for name in ("hidden.weight", "hidden.bias", "output.weight", "output.bias"):
            self.register_buffer("base_" + name.replace(".", "_"), case[name])
        self.scaling = case["scaling"].item()
        for layer in ("hidden", "output"):
            rank = case[f"{layer}.loraA"].shape[0]
            width = case[f"{layer}.weight"].shape[0]
            setattr(self, f"{layer}_A", nn.Parameter(case[f"{layer}.loraA"].clone()))
            setattr(self, f"{layer}_B", nn.Parameter(torch.zeros(rank, width)))
            setattr(self, f"{layer}_bias", nn.Parameter(torch.zeros(width)))

    def layer(self, name, x):
        base = nn.functional.linear(x, getattr(self, f"base_{name}_weight"), getattr(self, f"base_{name}_bias"))
        delta = x @ getattr(self, f"{name}_A").T @ getattr(self, f"{name}_B")
        return base + self.scaling * delta + getattr(self, f"{name}_bias")

    def forward(self, x):
        return self.layer("output", torch.relu(self.layer("hidden", x)))


def tasks_of(case, part):
    count = sum(1 for name in case if name.startswith(part) and name.endswith(".x"))
    return [(case[f"{part}.{task}.x"], case[f"{part}.{task}.y"].long()) for task in range(count)]


def run(case, mode, decay):
    model = Adapted(case)
    train, test = tasks_of(case, "learning"), tasks_of(case, "unseen")
    benchmark = tensors_benchmark(train_tensors=train, test_tensors=test, task_labels=[0] * len(train))
    evaluator = EvaluationPlugin(
        accuracy_metrics(experience=True, stream=True), bwt_metrics(stream=True), forgetting_metrics(stream=True)
    )
    common = dict(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=SETTINGS["learningRate"]),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=1,
        train_epochs=1,
        eval_mb_size=256,
        evaluator=evaluator,
    )
    if mode == "none":
        strategy = Naive(**common)
    else:
        decays = {"decay_factor": decay} if mode == "online" else {}
        strategy = EWC(ewc_lambda=SETTINGS["lambda"], mode=mode, **decays, **common)
    rows, last = [], {}
    for experience in benchmark.train_stream:
        strategy.train(experience, shuffle=False)
        last = strategy.eval(benchmark.test_stream)
        key = "Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp{:03d}"
        rows.append([last[key.format(task)] for task in range(len(test))])
    return {
        "matrix": rows,
        "acc": last["Top1_Acc_Stream/eval_phase/test_stream/Task000"],
        "bwt": last["StreamBWT/eval_phase/test_stream"],
        "forgetting": last["StreamForgetting/eval_phase/test_stream"],
    }


def main(folder):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    outputs = {
        "python": platform.python_version(),
        **{name: version(name) for name in ("avalanche-lib", "torch", "numpy")},
        "settings": SETTINGS,
        "cases": {},
        "runs": {name: {} for name in SETTINGS["modes"]},
    }
    for seed in SETTINGS["seeds"]:
        path = Path(folder) / f"{seed}.safetensors"
        outputs["cases"][seed] = hashlib.sha256(path.read_bytes()).hexdigest()
        for name, chosen in SETTINGS["modes"].items():
            print(f"seed {seed}: {name}", file=sys.stderr)
            outputs["runs"][name][seed] = run(load_file(path), **chosen)
    print(json.dumps(outputs, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
