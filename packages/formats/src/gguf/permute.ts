import { FormatError } from "../base/errors.js";

/**
 * The order of Q's and K's rows in llama.cpp: within a head, the two rows that the model's rotary embedding turns together,
 * half a head apart in the model's own files, lie beside each other. `LlamaModel.permute` in its conversion/llama.py.
 * @returns [rows]: the model's own row that lies at each row of the GGUF
 * @throws FormatError `needs-base` if the heads do not divide the rows
 */
export function rotaryOrder(rows: number, heads: number, where: string): Uint32Array {
  const half = rows / heads / 2;
  if (!Number.isInteger(half)) {
    const problem = `has ${rows} rows, which are not ${heads} heads of an even width`;
    throw new FormatError("needs-base", where, problem, "Pass the base model that the adapter is for");
  }
  const order = new Uint32Array(rows);
  for (let row = 0; row < rows; row += 2) {
    const start = row - (row % (2 * half));
    const pair = start + (row - start) / 2;
    order[row] = pair;
    order[row + 1] = pair + half;
  }
  return order;
}
