"""Writes the golden files of areas again: `npm run goldens -- AREA…` calls it."""

import sys
from pathlib import Path

import combine_goldens
import gguf_goldens
import gguf_models
import layout_goldens
import made_by
import onnx_adapter_goldens
import onnx_bases
import peft_check
import peft_goldens
import safetensors_goldens
import vllm_check

SOURCES = Path(__file__).resolve().parent.parent / "src"


def write_peft(folder):
    """PEFT's own folders, and what it and vLLM say of ours."""
    peft_goldens.write(folder)
    peft_check.write(folder)
    vllm_check.write(folder)


AREAS = {
    "safetensors": (safetensors_goldens.write, SOURCES / "safetensors" / "fixtures"),
    "peft": (write_peft, SOURCES / "peft" / "fixtures"),
    "onnx-bases": (onnx_bases.write, SOURCES / "picture" / "fixtures"),
    "gguf": (gguf_goldens.write, SOURCES / "gguf" / "fixtures"),
    "gguf-models": (gguf_models.write, SOURCES / "gguf" / "models" / "fixtures"),
    "layouts": (layout_goldens.write, SOURCES / "layouts" / "fixtures"),
    "onnx-adapter": (onnx_adapter_goldens.write, SOURCES / "onnx-adapter" / "fixtures"),
    "combine": (combine_goldens.write, SOURCES / "combine" / "fixtures"),
}


def main(areas):
    made_by.check_versions()
    for area in areas or AREAS:
        write, folder = AREAS[area]
        write(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "made-by.json")
        made_by.note(folder, files)
        print(area, len(files), "files,", sum(path.stat().st_size for path in files), "bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
