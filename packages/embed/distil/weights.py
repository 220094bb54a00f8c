"""The weights file; its layout is written down in ../src/weights.ts."""

import struct
import zlib
from pathlib import Path

import numpy as np


def quantise(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric int8 with a scale a row."""
    scales = (np.abs(table).max(axis=1) / 127).astype("<f4")
    codes = np.rint(table / np.where(scales > 0, scales, 1)[:, None]).astype(np.int8)
    return scales, codes


def write(path: Path, table: np.ndarray, vocabulary: list[str]) -> None:
    scales, codes = quantise(table)
    tokens = "\n".join(vocabulary).encode()
    body = struct.pack("<4I", 1, *table.shape, len(tokens)) + scales.tobytes() + codes.tobytes() + tokens
    path.write_bytes(b"MLEM" + struct.pack("<I", zlib.crc32(body)) + body)


def read(path: Path) -> tuple[np.ndarray, list[str]]:
    """The float64 table and the vocabulary."""
    data = path.read_bytes()
    _, rows, dimensions, _ = struct.unpack_from("<4I", data, 8)
    scales = np.frombuffer(data, "<f4", rows, 24).astype(np.float64)
    codes = np.frombuffer(data, np.int8, rows * dimensions, 24 + 4 * rows).reshape(rows, dimensions)
    return scales[:, None] * codes, data[24 + 4 * rows + rows * dimensions :].decode().split("\n")
