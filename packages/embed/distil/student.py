"""The student: one vector a token; a text is the sum of its tokens' vectors, at unit length."""

import numpy as np
import scipy.sparse

from teacher import FIRST_TEXT_TOKEN

DIMENSIONS = 256
PREFIX = 128  # the first components must also do by themselves
PREFIX_WEIGHT = 0.3
BATCH = 2048
MAX_TOKENS = 64
FIRST_RANKED_TOKEN = 1996  # BERT's vocabulary is in order of frequency from "the" on


def counts(ids: list[list[int]], vocabulary: int) -> scipy.sparse.csr_matrix:
    """How often each text holds each token: [texts, vocabulary]."""
    ids = [row[:MAX_TOKENS] for row in ids]
    starts = np.cumsum([0] + [len(row) for row in ids])
    columns = np.fromiter((t for row in ids for t in row), np.int32, starts[-1])
    matrix = scipy.sparse.csr_matrix((np.ones(starts[-1], np.float32), columns, starts), (len(ids), vocabulary))
    matrix.sum_duplicates()
    return matrix


def unit(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    norms = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return rows / norms, norms


def frequency_weights(vocabulary: int) -> np.ndarray:
    """1e-3 / (1e-3 + p) (Arora et al. 2017), p from Zipf-Mandelbrot on the token's rank."""
    rank = np.arange(vocabulary) - FIRST_RANKED_TOKEN + 1
    p = np.where(rank > 0, 1 / (np.maximum(rank, 1) + 2.7), 1e-3)
    return 1e-3 / (1e-3 + p / p.sum())


def principal_axes(targets: np.ndarray) -> np.ndarray:
    """Axes of the targets' second moments, most important first: [384, DIMENSIONS]."""
    _, axes = np.linalg.eigh((targets.T @ targets).astype(np.float64))
    return axes[:, ::-1][:, :DIMENSIONS].astype(np.float32)


def initial(token_vectors: np.ndarray, axes: np.ndarray) -> np.ndarray:
    table = (token_vectors - token_vectors.mean(axis=0)) @ axes * frequency_weights(len(token_vectors))[:, None]
    table[:FIRST_TEXT_TOKEN] = 0
    return (table / np.linalg.norm(table, axis=1).mean()).astype(np.float32)


def cosine_gradient(sums: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, float]:
    """Gradient of the sum over rows of (1 - cosine) with respect to `sums`, and the mean cosine."""
    unit_sums, norms = unit(sums)
    cosines = (unit_sums * targets).sum(axis=1, keepdims=True)
    return (cosines * unit_sums - targets) / norms, float(cosines.mean())


def train(table: np.ndarray, texts: scipy.sparse.csr_matrix, targets: np.ndarray, epochs: int, rate: float):
    """Turns each text's sum towards the teacher's embedding, by Adam with a rate that falls linearly to zero."""
    full, _ = unit(targets)
    prefix, _ = unit(full[:, :PREFIX])
    rng = np.random.default_rng(0)
    first, second = np.zeros_like(table), np.zeros_like(table)
    batches = len(full) // BATCH
    step, steps = 0, epochs * batches
    for epoch in range(epochs):
        order, cosine = rng.permutation(len(full)), 0.0
        for b in range(batches):
            rows = np.sort(order[b * BATCH : (b + 1) * BATCH])
            sums = texts[rows] @ table
            gradient, c = cosine_gradient(sums, full[rows])
            gradient[:, :PREFIX] += PREFIX_WEIGHT * cosine_gradient(sums[:, :PREFIX], prefix[rows])[0]
            g = texts[rows].T @ gradient
            step += 1
            first += 0.1 * (g - first)
            second += 0.01 * (g * g - second)
            scale = rate * (1 - step / steps) / (1 - 0.9**step)
            table -= scale * first / (np.sqrt(second / (1 - 0.99**step)) + 1e-6)
            table[:FIRST_TEXT_TOKEN] = 0
            cosine += c / batches
        print(f"epoch {epoch + 1}: mean cosine to the teacher {cosine:.4f}", flush=True)
    return table
