import {
  decodePeft,
  detectFormat,
  encodePeft,
  FILE_FORMATS,
  type LoraFile,
  READ_ONLY_FORMATS,
  scalingOf,
} from "@microlora/formats";
import { groupModules, inspectModel, readModel } from "@microlora/onnx";
import { expose, transfer } from "comlink";

/** A row of a model: modules of one kind. */
export interface ModelRow {
  readonly name: string;
  readonly count: number;
  readonly shape: string;
  readonly operator: string;
  /** Why it can have no adapter; null if it can. */
  readonly notAdapted: string | null;
  /** Why it gets no gradient; null if it does. */
  readonly notLearned: string | null;
}

/** A row of an adapter. */
export interface AdapterRow {
  readonly module: string;
  readonly rank: number;
  readonly shape: string;
  readonly scaling: number;
}

export type FileReport =
  | { readonly kind: "model"; readonly rows: readonly ModelRow[] }
  | {
      readonly kind: "adapter";
      readonly format: string;
      readonly bytes: number;
      readonly parameters: number;
      readonly warnings: readonly string[];
      readonly rows: readonly AdapterRow[];
    };

/** What an adapter can be taken away as. */
export type TakeAway = "mlora" | "peft" | "gguf" | "onnx_adapter";

export interface NamedBytes {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const READERS = { ...FILE_FORMATS, ...READ_ONLY_FORMATS };
const FORMAT_OF = { mlora: "microlora", gguf: "gguf", onnx_adapter: "onnx_adapter" } as const;

/** Models and adapters that the reader opens, in a worker of their own: a model may take a while. */
export class Files {
  #adapter: LoraFile | null = null;

  /**
   * What a file is: an ONNX model, an adapter, or the two files of a PEFT folder.
   * @throws FormatError, OnnxError
   */
  async look(files: readonly File[]): Promise<FileReport> {
    this.#adapter = null;
    const config = files.find(({ name }) => name === "adapter_config.json");
    const file = files.find((each) => each !== config);
    if (file === undefined) throw new Error("Choose the weights as well: adapter_model.safetensors.");
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (file.name.endsWith(".onnx")) return { kind: "model", rows: rowsOfModel(bytes) };
    if (config !== undefined) {
      const folder = { config: new Uint8Array(await config.arrayBuffer()), weights: bytes };
      return this.#told("PEFT", decodePeft(folder), bytes.length);
    }
    const format = detectFormat(bytes.subarray(0, 16), file.name);
    if (format === undefined) throw new Error(`${file.name} is no model and no adapter that this page knows.`);
    return this.#told(READERS[format].title, READERS[format].decode(bytes), bytes.length);
  }

  /** The adapter that was opened last, in another format. @throws FormatError */
  takeAway(as: TakeAway): NamedBytes[] {
    const written = as === "peft" ? peftOf(this.#adapter!) : [fileOf(this.#adapter!, as)];
    return transfer(
      written,
      written.map(({ bytes }) => bytes.buffer),
    );
  }

  #told(format: string, adapter: LoraFile, bytes: number): FileReport {
    this.#adapter = adapter;
    const rows = adapter.targets.map((target) => ({
      module: target.module,
      rank: target.rank,
      shape: `${target.inFeatures} → ${target.outFeatures}`,
      scaling: scalingOf(target),
    }));
    const parameters = adapter.targets.reduce(
      (sum, { rank, inFeatures, outFeatures }) => sum + rank * (inFeatures + outFeatures),
      0,
    );
    return { kind: "adapter", format, bytes, parameters, warnings: adapter.warnings ?? [], rows };
  }
}

function rowsOfModel(bytes: Uint8Array): ModelRow[] {
  return groupModules(inspectModel(readModel(bytes))).map(({ report, name, count }) => ({
    name,
    count,
    shape: `${report.inFeatures} → ${report.outFeatures}`,
    operator: report.operator,
    notAdapted: report.notAdaptable ?? null,
    notLearned: report.notLearnable ?? null,
  }));
}

function peftOf(adapter: LoraFile): NamedBytes[] {
  const { config, weights } = encodePeft(adapter);
  return [
    { name: "adapter_config.json", bytes: config.slice() },
    { name: "adapter_model.safetensors", bytes: weights.slice() },
  ];
}

function fileOf(adapter: LoraFile, as: Exclude<TakeAway, "peft">): NamedBytes {
  const format = FILE_FORMATS[FORMAT_OF[as]];
  return { name: `adapter${format.extension}`, bytes: format.encode(adapter).slice() };
}

expose(new Files());
