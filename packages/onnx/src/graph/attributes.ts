import type { Attributes } from "./ir.js";

/** An integer attribute, or its default. */
export function intOf(attributes: Attributes, name: string, byDefault: number): number {
  const attribute = attributes[name];
  return attribute?.kind === "int" ? attribute.value : byDefault;
}

/** A float attribute (some exporters write an integer), or its default. */
export function floatOf(attributes: Attributes, name: string, byDefault: number): number {
  const attribute = attributes[name];
  return attribute?.kind === "float" || attribute?.kind === "int" ? attribute.value : byDefault;
}

/** A string attribute, or its default. */
export function stringOf(attributes: Attributes, name: string, byDefault: string): string {
  const attribute = attributes[name];
  return attribute?.kind === "string" ? attribute.value : byDefault;
}

/** A list of integers, undefined if the attribute is absent. */
export function intsOf(attributes: Attributes, name: string): readonly number[] | undefined {
  const attribute = attributes[name];
  return attribute?.kind === "ints" ? attribute.value : undefined;
}
