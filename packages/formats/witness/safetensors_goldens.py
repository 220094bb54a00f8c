"""Files of every element type as the safetensors library writes them."""

from pathlib import Path

import numpy as np
import torch
from safetensors import TensorSpec, serialize_file
from safetensors.torch import save_file

BITS = {
    "bool": 8, "float4_e2m1fn_x2": 8, "uint8": 8, "int8": 8, "float8_e5m2": 8, "float8_e4m3fn": 8,
    "float8_e5m2fnuz": 8, "float8_e4m3fnuz": 8, "float8_e8m0fnu": 8, "int16": 16, "uint16": 16, "float16": 16,
    "bfloat16": 16, "int32": 32, "uint32": 32, "float32": 32, "complex64": 64, "float64": 64, "int64": 64, "uint64": 64,
}  # fmt: skip


def write(folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    arrays = {f"{where}.{name}": rng.integers(0, 2, 6 * bits // 8, dtype=np.uint8) for where in "ba" for name, bits in BITS.items()}
    every = {
        key: TensorSpec(dtype=key[2:], shape=[2, 3], data_ptr=array.ctypes.data, data_len=array.nbytes)
        for key, array in arrays.items()
    }
    serialize_file(every, folder / "every-dtype.safetensors", {"format": "pt"})
    shapes = {"scalar": torch.tensor(2.5), "empty": torch.zeros(3, 0, 2), "é \"quoted\" \\": torch.arange(5).float()}
    save_file(shapes, folder / "shapes.safetensors")
    save_file({}, folder / "nothing.safetensors")
    halves(folder)


def halves(folder: Path):
    """Every bit pattern of the 16-bit types with its value, and float32 values with their roundings."""
    words = torch.arange(65536, dtype=torch.int32).to(torch.int16)
    rng = np.random.default_rng(6)
    # Around every half: the value, the midpoint to the next one, and one float32 to either side of that.
    finite = words.view(torch.float16).float()
    finite = finite[finite.isfinite()].numpy()
    steps = np.float32(finite[rng.integers(0, len(finite), 700)])
    with np.errstate(over="ignore"):
        middle = ((steps.astype(np.float64) + np.nextafter(steps.astype(np.float16), np.float16(np.inf)).astype(np.float64)) / 2).astype(np.float32)
    brain = (rng.integers(0, 2**16, 700).astype(np.uint32) << 16 | 0x8000).view(np.float32)
    samples = np.concatenate([
        steps, middle, np.nextafter(middle, np.float32(np.inf)), np.nextafter(middle, np.float32(-np.inf)),
        brain, np.nextafter(brain, np.float32(0)), rng.integers(0, 2**32, 3000, dtype=np.uint32).view(np.float32),
        np.array([0.0, -0.0, 65504, 65519.996, 65520, -65520, 2**-24, 2**-25, 1.5 * 2**-25, 3.4e38, 1e-40], np.float32),
    ])  # fmt: skip
    samples = torch.from_numpy(samples[~np.isnan(samples)])
    save_file(
        {"samples": samples, "samples.f16": samples.to(torch.float16), "samples.bf16": samples.to(torch.bfloat16)},
        folder / "roundings.safetensors",
    )
