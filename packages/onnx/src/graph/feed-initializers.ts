import { OnnxError } from "../base/errors.js";
import type { Model, ValueInfo } from "./ir.js";

/**
 * The model with initializers of these names as inputs that have to be fed; a dimension of size 0 may then have any. Olive's
 * graphs for adapters take their parameters as inputs that are optional, of rank 0 by default (`optional_inputs` of its
 * ExtractAdapters pass); onnxruntime's JavaScript refuses a feed for an optional input, or passes over it.
 * @throws OnnxError `unknown-value` for a name that is neither an initializer nor an input
 */
export function feedInitializers(model: Model, names: Iterable<string>): Model {
  const { graph } = model;
  const initializers = new Map(graph.initializers);
  const inputs: ValueInfo[] = [...graph.inputs];
  const types = new Map(graph.types);
  for (const name of names) {
    if (inputs.some((input) => input.name === name)) continue;
    const tensor = initializers.get(name);
    if (tensor === undefined) {
      const problem = "the model has no input and no initializer of this name";
      throw new OnnxError("unknown-value", name.slice(0, 80), problem, "Pass the adapter that the model was made for");
    }
    const type = { dtype: tensor.dtype, shape: tensor.dims.map((size) => (size === 0 ? "lora_r" : size)) };
    initializers.delete(name);
    inputs.push({ name, type });
    types.set(name, type);
  }
  return { ...model, graph: { ...graph, inputs, initializers, types } };
}
