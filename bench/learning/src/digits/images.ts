import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createRandom } from "../first-run.js";

export const PIXELS = 784;

export interface Image {
  /** [784], shares of 1. */
  readonly pixels: Float32Array;
  readonly digit: number;
}

/** Ten thousand digits of MNIST, from the package `mnist`, in a shuffled order that is always the same. */
export function loadImages(): readonly Image[] {
  const folder = join(dirname(createRequire(import.meta.url).resolve("mnist")), "digits");
  const images: Image[] = [];
  for (let digit = 0; digit < 10; digit++) {
    const { data }: { data: number[] } = JSON.parse(readFileSync(join(folder, `${digit}.json`), "utf8"));
    const values = Float32Array.from(data);
    for (let at = 0; at < values.length; at += PIXELS) images.push({ pixels: values.slice(at, at + PIXELS), digit });
  }
  return createRandom(1).shuffle(images);
}
