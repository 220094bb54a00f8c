"""Loads the folders that `write-peft.mjs` writes with `PeftModel.from_pretrained`, and compares logits; what PEFT accepted is
kept as hashes, so that a test without PEFT can tell whether we still write it."""

import hashlib
import json
import subprocess
import tempfile
import warnings
from pathlib import Path

import torch
from models import bert, gpt2, llama, logits, make
from peft import PeftModel
from peft_goldens import CASES
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent
ARCHITECTURES = {"llama": llama, "bert": bert, "gpt2": gpt2}
TOLERANCE = 1e-5


def write(fixtures: Path):
    accepted = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["node", HERE / "write-peft.mjs", folder], check=True)
        for path in sorted(folder.iterdir()):
            difference = check(path, fixtures)
            assert difference <= TOLERANCE, (path.name, difference)
            hashes = {
                file.name: hashlib.sha256(file.read_bytes()).hexdigest()
                for file in sorted(path.iterdir())
                if file.name.startswith("adapter_")
            }
            accepted[path.name] = {"logits differ by": float(f"{difference:.1e}"), **hashes}
            print(f"{path.name}: logits differ by {difference:.1e}")
    assert len(accepted) >= 30, accepted.keys()
    (fixtures / "accepted.json").write_text(json.dumps(accepted, indent=2) + "\n")


def check(path: Path, fixtures: Path) -> float:
    if path.name.startswith("learned-"):
        architecture = ARCHITECTURES[path.name.removeprefix("learned-")]
        merged = make(architecture)
        missing, unexpected = merged.load_state_dict(load_file(path / "merged.safetensors"), strict=False)
        assert not unexpected and all("position_ids" in name for name in missing), (missing, unexpected)
        expected = logits(merged)
        dtype = torch.float32
    else:
        case = path.name.split(".")[0]
        architecture, dtype, _ = CASES[case]
        expected = load_file(fixtures / case / "expected.safetensors")["logits"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(make(architecture, dtype), path, autocast_adapter_dtype=False).eval()
    complaints = [str(warning.message) for warning in caught if "adapter keys" in str(warning.message)]
    assert not complaints, (path.name, complaints)
    found = logits(model).float()
    assert found.shape == expected.shape
    effect = (expected - logits(make(architecture, dtype)).float()).abs().max().item()
    assert effect > 20 * TOLERANCE, (path.name, effect)
    # Halves are compared on the scale that they count in.
    scale = {torch.float32: 1.0, torch.float16: 2.0**13, torch.bfloat16: 2.0**16}[dtype]
    return (found - expected).abs().max().item() / scale
