import type { Hyperparameters } from "./hyperparameters.js";

/** Cosines and sines of every position, [positions, dimensions / 2] each, as GroupQueryAttention takes them. */
export interface RotaryTable {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/**
 * angle = position / (factor * factors[i]) * base^(-2i / dimensions); computed in float64.
 * @param factors of each frequency (Llama 3.1, Phi 3), undefined for ones
 * @param isWindowed of a layer with a window, which may have frequencies of its own and then is not scaled
 */
export function rotaryTable(
  { rope, architecture }: Hyperparameters,
  positions: number,
  factors: Float32Array | undefined,
  isWindowed: boolean,
): RotaryTable {
  const half = rope.dimensions / 2;
  const own = isWindowed ? architecture.windowRopeBase : undefined;
  const factor = own === undefined ? rope.factor : 1;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let i = 0; i < half; i++) {
    const frequency = (own ?? rope.base) ** (-i / half) / factor / (factors?.[i] ?? 1);
    for (let position = 0; position < positions; position++) {
      cos[position * half + i] = rope.magnitude * Math.cos(position * frequency);
      sin[position * half + i] = rope.magnitude * Math.sin(position * frequency);
    }
  }
  return { cos, sin };
}

/**
 * The rows of a projection to queries or keys as PyTorch has them. llama.cpp stores the two rows that turn together beside each other;
 * PyTorch, half a head apart (`LlamaModel.permute` in llama.cpp's conversion).
 * @returns [rows]: the row of the file that each row is
 */
export function unpermuted(rows: number, headSize: number): Uint32Array {
  const order = new Uint32Array(rows);
  const half = headSize / 2;
  for (let row = 0; row < rows; row++) {
    const within = row % headSize;
    order[row] = row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
  }
  return order;
}
