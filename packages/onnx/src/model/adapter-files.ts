import type * as Formats from "@microlora/formats";
import { MicroLora } from "microlora";
import { checkOptions, refuseArgument } from "../base/check.js";
import { OnnxError } from "../base/errors.js";
import type { Module } from "../graft/modules.js";
import { placeTargets } from "./packed-adapters.js";

type LoraFile = Formats.LoraFile;

/** An adapter as another program has it: PEFT's two files, one file's bytes, or where these are (a path in Node). */
export type AdapterSource = Formats.PeftFolder | Uint8Array | URL | string;

/** Options of `LoraModel.loadAdapter`. */
export interface LoadAdapterOptions {
  /** Format of the bytes; detected from their beginning by default. */
  readonly format?: Formats.ReadableFormatName;
  /** alpha, where a file says none. */
  readonly alpha?: number;
  /** How the adapter learns here; as in `createAdapter`. */
  readonly learning?: Formats.LearningOptions["learning"];
}

/** Options of `LoraModel.saveAdapter`. */
export interface SaveAdapterOptions extends Formats.PeftOptions {
  /** The base model's name, for Python; by default the one that the adapter was loaded with. */
  readonly baseModel?: string;
}

/** Reads adapters from where the platform has them. */
export type ReadAdapterFile = (source: URL | string, options: LoadAdapterOptions) => Promise<LoraFile>;

/** A model that adapters are loaded for. */
interface Model {
  readonly modules: readonly Module[];
  readonly fingerprint: string;
  readonly found: { readonly modules: readonly Module[] };
}

/** The origin of an adapter: the names of its modules in the file, by their names in the model, and its base. */
interface Origin {
  readonly names: ReadonlyMap<string, string>;
  readonly baseModel: string | null;
}

const ORIGINS = new WeakMap<MicroLora, Origin>();

const formats = () => import("@microlora/formats");

/** @throws OnnxError `invalid-argument`, `unreadable`, `unknown-module`; FormatError; MicroLoraError */
export async function loadAdapter(
  model: Model,
  source: AdapterSource,
  options: LoadAdapterOptions,
  readFile: ReadAdapterFile,
): Promise<MicroLora> {
  checkOptions(options, ["format", "alpha", "learning"], "options");
  const { fitToModel, toMicroLora } = await formats();
  const file = await fileOf(source, options, readFile);
  const placed = placeTargets(await formats(), file, model);
  const fitted = fitToModel({ ...file, targets: placed.map(({ target }) => target) }, model);
  const state = toMicroLora(fitted, options.learning === undefined ? {} : { learning: options.learning });
  const adapter = await MicroLora.fromState(state, { baseModel: model.fingerprint });
  const names = fitted.targets.map(({ module }, i) => [module, placed[i]!.from ?? module] as const);
  ORIGINS.set(adapter, { names: new Map(names), baseModel: file.baseModel });
  return adapter;
}

async function fileOf(
  source: AdapterSource,
  options: LoadAdapterOptions,
  readFile: ReadAdapterFile,
): Promise<LoraFile> {
  const { decodeMlx, decodePeft } = await formats();
  if (source instanceof Uint8Array) return decodeFile(source, options);
  if (typeof source === "string" || source instanceof URL) return readFile(source, options);
  if (source?.config instanceof Uint8Array && source.weights instanceof Uint8Array)
    return (options.format === "mlx" ? decodeMlx : decodePeft)(source);
  return refuseArgument("source", source, "Pass { config, weights } of a PEFT folder, bytes, or a path");
}

/** One file's bytes. @throws FormatError, OnnxError `invalid-argument` */
export async function decodeFile(bytes: Uint8Array, { format, alpha }: LoadAdapterOptions): Promise<LoraFile> {
  const { detectFormat, FILE_FORMATS, READ_ONLY_FORMATS } = await formats();
  const readers = { ...FILE_FORMATS, ...READ_ONLY_FORMATS };
  const name = format ?? detectFormat(bytes.subarray(0, 64));
  if (name === undefined || name === "peft" || name === "mlx" || !Object.hasOwn(readers, name)) {
    const remedy = `Name one of ${Object.keys(readers).join(", ")}, or pass a PEFT folder`;
    refuseArgument("options.format", name, remedy);
  }
  return readers[name].decode(bytes, alpha === undefined ? {} : { alpha });
}

/** An adapter at an address: one file, or the folder that PEFT saved. */
export const fetchAdapter: ReadAdapterFile = async (source, options) => {
  const url = source instanceof URL ? source : new URL(source, globalThis.location?.href);
  if (options.format !== "peft" && /\.[a-z_]+$/.test(url.pathname)) return decodeFile(await fetchBytes(url), options);
  const inFolder = (name: string) => new URL(name, url.href.endsWith("/") ? url : `${url.href}/`);
  const { decodePeft } = await formats();
  const [config, weights] = [
    await fetchBytes(inFolder("adapter_config.json")),
    await fetchBytes(inFolder("adapter_model.safetensors")),
  ];
  return decodePeft({ config, weights });
};

async function fetchBytes(url: URL): Promise<Uint8Array> {
  const response = await fetch(url).catch((cause: unknown) => refuseUrl(url, "it could not be fetched", cause));
  return response.ok
    ? new Uint8Array(await response.arrayBuffer())
    : refuseUrl(url, `the server says ${response.status}`);
}

function refuseUrl(url: URL, problem: string, cause?: unknown): never {
  throw new OnnxError("unreadable", url.href, problem, "Check the address", { cause });
}

/** @throws OnnxError `invalid-argument`; FormatError where a format cannot hold the adapter */
export async function saveAdapter(
  model: Model,
  adapter: MicroLora,
  format: "peft" | Formats.FileFormatName,
  options: SaveAdapterOptions,
): Promise<Formats.PeftFolder | Uint8Array> {
  checkOptions(options, ["baseModel", "dtype", "base", "uniform"], "options");
  if (typeof adapter?.exportState !== "function") refuseArgument("adapter", adapter, "Pass a MicroLora");
  const { encodePeft, FILE_FORMATS, fromMicroLora } = await formats();
  const { baseModel, ...how } = options;
  const origin = ORIGINS.get(adapter);
  const kinds = new Map(model.modules.map(({ name, kind }) => [name, kind]));
  const file = fromMicroLora(adapter.exportState(), (name) => kinds.get(name) === "embedding");
  if (format === "microlora") return adapter.toBytes();
  const named: LoraFile = {
    ...file,
    baseModel: baseModel ?? (origin === undefined ? file.baseModel : origin.baseModel),
    targets: file.targets.map((target) => ({ ...target, module: origin?.names.get(target.module) ?? target.module })),
  };
  if (format === "peft") return encodePeft(named, how);
  if (!Object.hasOwn(FILE_FORMATS, format))
    refuseArgument("format", format, `Name one of peft, ${Object.keys(FILE_FORMATS).join(", ")}`);
  return FILE_FORMATS[format].encode(named, how);
}
