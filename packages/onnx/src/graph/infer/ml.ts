import { intOf } from "../attributes.js";
import { productOf } from "../dim.js";
import type { Dim, DType } from "../ir.js";
import { dtypeOf, type Inference, type InferenceContext, shapeOf, typed, unknownDim } from "./context.js";
import { sameShape } from "./elementwise.js";

/*
 * Operators of the domain ai.onnx.ml, which pipelines of scikit-learn and trees of LightGBM and XGBoost are exported to.
 * Source: onnx/docs/Operators-ml.md
 */

const floats = sameShape("float32");

function rowsOf(context: InferenceContext): Dim {
  const shape = shapeOf(context, 0);
  return (shape?.length === 1 ? 1 : shape?.[0]) ?? unknownDim(context, 0);
}

/** A number for each target of each row. */
function regression(attribute: string): Inference {
  return (context) => [typed("float32", [rowsOf(context), intOf(context.node.attributes, attribute, 1)])];
}

/** The class of each row, and a score for each class. */
const classification: Inference = (context) => {
  const { attributes } = context.node;
  const names = attributes.classlabels_strings ?? attributes.class_strings;
  const ints = attributes.classlabels_ints ?? attributes.classlabels_int64s;
  const isNamed = names?.kind === "strings" && names.value.length > 0;
  const count = isNamed ? names.value.length : ints?.kind === "ints" ? ints.value.length : undefined;
  const rows = rowsOf(context);
  return [typed(isNamed ? "string" : "int64", [rows]), typed("float32", [rows, count ?? unknownDim(context, 1, 1)])];
};

const labels: Inference = (context) => {
  const { values_floats, values_strings, values_int64s, values_tensor } = context.node.attributes;
  const given: DType | undefined = values_floats ? "float32" : values_strings ? "string" : values_int64s && "int64";
  const told = values_tensor?.kind === "tensor" ? values_tensor.value.dtype : given;
  return [typed(told ?? (dtypeOf(context, 0) === "string" ? "int64" : "string"), shapeOf(context, 0))];
};

const oneHot: Inference = (context) => {
  const { cats_int64s, cats_strings } = context.node.attributes;
  const cats =
    cats_int64s?.kind === "ints" ? cats_int64s.value : cats_strings?.kind === "strings" ? cats_strings.value : [];
  const shape = shapeOf(context, 0);
  return [typed("float32", shape && [...shape, cats.length])];
};

/** Features side by side. */
const featureVectorizer: Inference = (context) => {
  const widths = context.node.attributes.inputdimensions;
  const total = widths?.kind === "ints" ? widths.value.reduce((sum, width) => sum + width, 0) : undefined;
  return [typed("float32", [rowsOf(context), total ?? unknownDim(context, 1)])];
};

const arrayFeatureExtractor: Inference = (context) => {
  const [x, indices] = [shapeOf(context, 0), shapeOf(context, 1)];
  return [typed(dtypeOf(context, 0), x && indices && [...(x.length === 1 ? [1] : x.slice(0, -1)), productOf(indices)])];
};

export const ML_INFERENCES: { readonly [op: string]: Inference } = {
  ArrayFeatureExtractor: arrayFeatureExtractor,
  Binarizer: floats,
  CategoryMapper: labels,
  FeatureVectorizer: featureVectorizer,
  Imputer: ({ inputs }) => [inputs[0]],
  LabelEncoder: labels,
  LinearClassifier: classification,
  LinearRegressor: regression("targets"),
  Normalizer: floats,
  OneHotEncoder: oneHot,
  SVMClassifier: classification,
  SVMRegressor: regression("targets"),
  Scaler: floats,
  TreeEnsemble: (context) => [
    typed(dtypeOf(context, 0), [rowsOf(context), intOf(context.node.attributes, "n_targets", 1)]),
  ],
  TreeEnsembleClassifier: classification,
  TreeEnsembleRegressor: regression("n_targets"),
};
