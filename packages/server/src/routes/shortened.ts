import { ServiceError } from "../base/errors.js";

/** Components come in order of importance; the embedder was trained to be cut at this width. */
const SHORT = 128;

/** The first components at unit length. @throws ServiceError `dimensions-not-offered` */
export function shortened(vector: Float32Array, dimensions: number = vector.length): Float32Array {
  if (dimensions === vector.length) return vector;
  if (dimensions !== SHORT || vector.length < SHORT) {
    const remedy = `Ask for ${vector.length} or ${SHORT}, or leave it out`;
    throw new ServiceError("dimensions-not-offered", "dimensions", `are ${dimensions}`, remedy);
  }
  const short = vector.slice(0, SHORT);
  let squares = 0;
  for (const value of short) squares += value * value;
  const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
  for (let i = 0; i < SHORT; i++) short[i]! *= scale;
  return short;
}
