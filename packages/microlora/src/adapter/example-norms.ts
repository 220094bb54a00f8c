import type { AdapterBlocks } from "./blocks.js";
import { Limits } from "./limits.js";
import type { AdapterSpec } from "./spec.js";

/** Root of the least float32: what is smaller may leave no trace in a sum of squares. */
const ROOT_OF_LEAST = Math.sqrt(2 ** -149);

// Places in an array of what is known of the example under way, where a number that changes needs no allocation.

/** Norm of the example's whole gradient. */
export const NORM = 0;
/** What the rows of x and g are multiplied by at most to give the gradient. */
export const FACTOR = 1;
/** How much of the norm its float32 squares may have lost. */
export const LOST = 2;
/** The learning rate of this update. */
export const RATE = 3;
/** Learning rate * lambda. */
export const PENALTY = 4;
/** Factor of the gradient: the reward, and what clipping left of it. */
export const SCALE = 5;
/** Sums of squares of x and of g. */
export const INPUT_SQUARES = 6;
export const GRADIENT_SQUARES = 7;
export const NUMBERS = 8;

/**
 * Writes the norm of the whole gradient, and what bounds it, from u = x A, v = g B and the sums of squares of x and g.
 * @returns whether all of them are numbers that float32 holds
 */
export function readNorms(
  example: Float64Array,
  f32: Float32Array,
  { u, v, norms }: AdapterBlocks,
  { rank, bias, inFeatures, outFeatures }: AdapterSpec,
  scaling: number,
): boolean {
  const inputSquares = f32[norms >>> 2]!;
  const gradientSquares = f32[(norms >>> 2) + 1]!;
  let squares = bias ? gradientSquares : 0;
  let factors = 1;
  for (let r = 0; r < rank; r++) {
    const us = scaling * f32[(u >>> 2) + r]!;
    const vs = scaling * f32[(v >>> 2) + r]!;
    factors += us * us + vs * vs;
    squares += us * us * gradientSquares + vs * vs * inputSquares;
  }
  const factor = Math.sqrt(factors);
  example[INPUT_SQUARES] = inputSquares;
  example[GRADIENT_SQUARES] = gradientSquares;
  example[NORM] = Math.sqrt(squares);
  example[FACTOR] = factor;
  example[LOST] = factor * Math.sqrt(inFeatures + outFeatures) * ROOT_OF_LEAST;
  return Math.max(squares, inputSquares, gradientSquares, factor) <= Limits.FLOAT32;
}
