import { FormatError, shown } from "../base/errors.js";
import { moduleFinder } from "../picture/fit.js";
import type { LoraFile } from "../picture/lora-file.js";

export type Factor = "A" | "B";

/** The two parameters of a module. */
export type ParameterNames = Readonly<Record<Factor, string>>;

/**
 * Names as Olive has them: `….lora_A.weight`, or `….lora_A.MatMul.weight` from its pass over an exported graph. The groups
 * are what stands before the module, the module, the factor, and what stands behind.
 */
const NAME = /^((?:base_model\.model\.)?)(.+)\.lora_([AB])((?:\.MatMul)?\.weight)$/s;

/** Names of a file whose parameters are not all named in one way, as JSON. */
const NAMES_NOTE = "onnx_adapter.names";
/** What stands before each module and behind each factor, as JSON. */
const STYLE_NOTE = "onnx_adapter.style";

/** The module and the factor that a parameter's name tells; undefined for a name that is none of a factor. */
export function parseParameter(name: string): { readonly module: string; readonly factor: Factor } | undefined {
  const [, , module, factor] = NAME.exec(name) ?? [];
  return module === undefined ? undefined : { module, factor: factor as Factor };
}

/** Notes by which a file is written with the names that it was read with. */
export function namesToNotes(names: readonly string[]): readonly (readonly [string, string])[] {
  const parts = names.flatMap((name) => {
    const match = NAME.exec(name);
    return match === null ? [] : [match];
  });
  const [[, before, , , behind] = []] = parts;
  if (parts.every((match) => match[1] === before && match[4] === behind)) {
    return [[STYLE_NOTE, JSON.stringify([before, behind])]];
  }
  return [[NAMES_NOTE, JSON.stringify(parts.map(([name, , module, factor]) => [`${factor} ${module}`, name]))]];
}

/**
 * From a module to the names of its parameters: those of a graph if it is given, else those that the file came with, else
 * Olive's.
 * @throws FormatError `unknown-module` for a module that the graph has no parameters for
 */
export function parameterNames(
  { notes }: LoraFile,
  graph: readonly string[] | undefined,
): (module: string) => ParameterNames {
  if (graph !== undefined) return namesOfGraph(graph);
  const [before, behind] = parsedNote(notes, STYLE_NOTE, ["", ".weight"]);
  const kept = new Map(parsedNote<readonly (readonly [string, string])[]>(notes, NAMES_NOTE, []));
  const nameOf = (module: string, factor: Factor) =>
    kept.get(`${factor} ${module}`) ?? `${before}${module}.lora_${factor}${behind}`;
  return (module) => ({ A: nameOf(module, "A"), B: nameOf(module, "B") });
}

function namesOfGraph(graph: readonly string[]): (module: string) => ParameterNames {
  const byModule = new Map<string, Partial<Record<Factor, string>>>();
  for (const name of graph) {
    const { module, factor } = parseParameter(name) ?? {};
    if (module === undefined || factor === undefined) continue;
    byModule.set(module, { ...byModule.get(module), [factor]: name });
  }
  const find = moduleFinder([...byModule.keys()]);
  return (module) => {
    const { A, B } = byModule.get(find(module) ?? "") ?? {};
    if (A !== undefined && B !== undefined) return { A, B };
    const some = [...byModule.keys()].slice(0, 3).join(", ") || "none";
    const problem = `has no parameters in the graph, which has those of ${some}`;
    const remedy = "Pass the graph that the adapter is for, or rename modules";
    throw new FormatError("unknown-module", shown(module), problem, remedy);
  };
}

/** Notes may have been made by a caller. */
function parsedNote<T>(notes: LoraFile["notes"], key: string, otherwise: T): T {
  const text = notes.get(key);
  if (text === undefined) return otherwise;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError("bad-value", key, "is not JSON", "Leave the note out", { cause });
  }
}
