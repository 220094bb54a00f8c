"""Writes src/graph/operators.generated.ts: the names of ONNX's standard operators and of onnxruntime's own.

    pip install -r packages/onnx/schema/requirements.txt && python packages/onnx/schema/make.py
"""

from pathlib import Path

import onnx
import onnx.defs
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

standard = sorted({schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""})
contrib = sorted({schema.name for schema in get_all_operator_schema() if schema.domain == "com.microsoft"})


def union(names):
    return "\n".join(f'  | "{name}"' for name in names)


text = f"""// Written by schema/make.py. Do not edit.

/** The operators of ONNX's standard domain, of every version. Source: onnx {onnx.__version__}, opset {onnx.defs.onnx_opset_version()} */
export type StandardOp =
{union(standard)};

/** onnxruntime's own operators, of its domain com.microsoft. Source: onnxruntime {onnxruntime.__version__} */
export type ContribOp =
{union(contrib)};
"""
target = Path(__file__).parent.parent / "src/graph/operators.generated.ts"
target.write_text(text)
print(f"{len(standard)} standard operators, {len(contrib)} of onnxruntime's")
