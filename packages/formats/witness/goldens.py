"""Writes the golden files again: `npm run goldens`, or `python goldens.py [area...]` with the versions of requirements.txt."""

import hashlib
import importlib.metadata
import json
import sys
from pathlib import Path

import combine_goldens
import gguf_goldens
import onnx_adapter_goldens
import onnx_bases
import peft_check
import peft_goldens
import safetensors_goldens

SOURCES = Path(__file__).resolve().parent.parent / "src"


def write_peft(folder):
    """PEFT's own folders, and what it says of ours."""
    peft_goldens.write(folder)
    peft_check.write(folder)


AREAS = {
    "safetensors": (safetensors_goldens.write, SOURCES / "safetensors" / "fixtures"),
    "peft": (write_peft, SOURCES / "peft" / "fixtures"),
    "onnx-bases": (onnx_bases.write, SOURCES / "picture" / "fixtures"),
    "gguf": (gguf_goldens.write, SOURCES / "gguf" / "fixtures"),
    "onnx-adapter": (onnx_adapter_goldens.write, SOURCES / "onnx-adapter" / "fixtures"),
    "combine": (combine_goldens.write, SOURCES / "combine" / "fixtures"),
}


def pinned():
    lines = (Path(__file__).parent / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def main(areas):
    for package, version in pinned().items():
        found = importlib.metadata.version(package)
        if found != version:
            sys.exit(f"{package} is {found}, not {version}: pip install -r requirements.txt")
    for area in areas or AREAS:
        write, folder = AREAS[area]
        write(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "made-by.json")
        made_by = {
            "command": "npm run goldens",
            "versions": pinned(),
            "sha256": {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
        }
        (folder / "made-by.json").write_text(json.dumps(made_by, indent=2) + "\n")
        print(area, len(files), "files,", sum(path.stat().st_size for path in files), "bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
