import type { MicroLora } from "microlora";
import { checkObject, checkOptions, refuseArgument } from "../base/check.js";
import { OnnxError } from "../base/errors.js";
import type { HostTensor } from "../base/host-tensor.js";
import type { ValueInfo } from "../graph/ir.js";
import type { LearnResult, LoraModel } from "../model/lora-model.js";
import type { GradientRequest } from "../model/options.js";
import type { Adapters } from "../run/adapters.js";
import { completeFeeds } from "../run/complete.js";
import type { Feeds } from "../run/feeds.js";
import type { Ort, OrtSession } from "../run/ort.js";
import { type EncoderDecoder, encoderFeeds, type Pairs, targetFeeds } from "./pairs.js";

/** The part of a transformers.js model that this package uses: `sessions` is a public record of onnxruntime's sessions. */
export interface TransformersModel {
  /** onnxruntime's sessions, by name. */
  sessions: Record<string, unknown>;
}

/** A transformers.js pipeline, such as `feature-extraction` or `text-generation`. */
export interface TransformersPipeline {
  /** The model that the pipeline runs. */
  readonly model: TransformersModel;
  /** What turns texts into tensors. */
  readonly tokenizer?: Tokenizer;
}

/** What turns texts into tensors: a transformers.js tokenizer. */
type Tokenizer = (texts: string | string[], options: Readonly<Record<string, unknown>>) => unknown;

/** Options of `attach`. */
export interface AttachOptions {
  /** Who serves the rows of each call; the base model by default. */
  readonly adapters?: Adapters;
  /** Which of the model's sessions is replaced; by default the one that takes what the opened model takes. */
  readonly session?: string;
}

/** A pipeline or model of transformers.js that runs with adapters. */
export class Attachment implements Disposable {
  /** Who serves the rows of the next call: one adapter, one for each row, or null for the base model. */
  adapters: Adapters;
  readonly #host: TransformersModel;
  readonly #tokenizer: Tokenizer | undefined;
  readonly #model: LoraModel;
  readonly #name: string;
  readonly #original: OrtSession;

  /** @internal */
  constructor(target: TransformersPipeline | TransformersModel, model: LoraModel, options: AttachOptions) {
    // A pipeline of transformers.js is a function with properties.
    if (typeof target !== "function") checkObject(target, "target", "Pass a pipeline or a model of transformers.js");
    if (typeof model?.run !== "function") refuseArgument("model", model, "Pass what openModel gives");
    checkOptions(options, ["adapters", "session"], "options");
    this.#host = "model" in target ? target.model : target;
    checkObject(this.#host?.sessions, "target.sessions", "Pass a pipeline or a model of transformers.js");
    this.#tokenizer = "tokenizer" in target ? target.tokenizer : undefined;
    this.#model = model;
    this.adapters = options.adapters ?? null;
    this.#name = options.session ?? sessionFor(model, this.#host);
    this.#original = this.#checked(this.#host.sessions[this.#name] as OrtSession | undefined);
    const run = (feeds: Feeds) => this.#model.run(feeds, { adapters: this.adapters });
    const stand = standIn(this.#original, this.#model, run);
    STAND_INS.add(stand);
    this.#host.sessions[this.#name] = stand;
  }

  #checked(session: OrtSession | undefined): OrtSession {
    if (session === undefined) {
      const known = Object.keys(this.#host.sessions).join(", ");
      throw new OnnxError("unknown-value", "session", `the model has no ${this.#name}`, `Name one of ${known}`);
    }
    if (STAND_INS.has(session)) {
      const remedy = "Dispose of that attachment first, or set its `adapters`";
      throw new OnnxError("unknown-value", this.#name, "is attached to already", remedy);
    }
    const { inputs, outputs } = this.#model;
    this.#compare("takes", session.inputNames, inputs);
    this.#compare("gives", session.outputNames, outputs);
    return session;
  }

  /** Refuses a session of another file: with a name that the opened model has not, or without one that it has. */
  #compare(verb: string, names: readonly string[] | undefined, own: readonly ValueInfo[]): void {
    if (names === undefined) return;
    const known = own.map(({ name }) => name);
    const more = names.find((name) => !known.includes(name));
    const less = known.find((name) => !names.includes(name));
    const problem = more !== undefined ? `${verb} ${more}, which the opened model does not` : `${verb} no ${less}`;
    if (more !== undefined || less !== undefined)
      throw new OnnxError("wrong-base", this.#name, problem, "Open the file that the pipeline runs");
  }

  /** Makes feeds of one text or several, padded to one length. */
  async encode(texts: string | readonly string[], options: Readonly<Record<string, unknown>> = {}): Promise<Feeds> {
    this.#checkEncoder(false, "is a decoder behind an encoder", "Say what goes into each: encodePairs(texts, targets)");
    return completeFeeds(this.#model.inputs, await this.#tokenize(texts, options));
  }

  /**
   * What goes into the encoder, and what the decoder is to say of it, as feeds of an encoder-decoder's decoder. Runs the encoder.
   * @param sources texts, or what the pipeline's processor makes of sounds or pictures (`input_features`, `pixel_values`)
   * @throws OnnxError `shape-mismatch`, `unknown-value` for another model, and where its configuration does not say what decoders
   * start with
   */
  async encodePairs(
    sources: string | readonly string[] | Feeds,
    targets: string | readonly string[],
    options: Readonly<Record<string, unknown>> = {},
  ): Promise<Pairs> {
    this.#checkEncoder(true, "is no decoder behind an encoder", "Call encode(texts)");
    const encoded = isTexts(sources) ? await this.#tokenize(sources, options) : sources;
    const rows = Object.values(encoded)[0]?.dims[0];
    const said = listOf(targets, "targets");
    if (said.length !== rows) {
      const problem = `are ${said.length}, for ${rows ?? 0} sources`;
      throw new OnnxError("shape-mismatch", "targets", problem, "Pass one for each source");
    }
    const model = this.#host as EncoderDecoder;
    const states = await encoderFeeds(model, encoded);
    const { feeds, labels } = targetFeeds(model, await this.#tokenize(said, options));
    return { feeds: completeFeeds(this.#model.inputs, { ...states, ...feeds }), labels };
  }

  #checkEncoder(expected: boolean, problem: string, remedy: string): void {
    const isBehind = this.#model.inputs.some(({ name }) => name === "encoder_hidden_states");
    if (isBehind !== expected) throw new OnnxError("unknown-value", "model", problem, remedy);
  }

  async #tokenize(given: string | readonly string[], options: Readonly<Record<string, unknown>>): Promise<Feeds> {
    if (this.#tokenizer === undefined) {
      throw new OnnxError(
        "unknown-value",
        "tokenizer",
        "there is none",
        "Attach a pipeline, or tokenize the texts yourself",
      );
    }
    const texts = listOf(given, "texts");
    if (texts.length === 0) throw new OnnxError("shape-mismatch", "texts", "are none", "Pass one at least");
    return (await this.#tokenizer([...texts], { padding: true, truncation: true, ...options })) as Feeds;
  }

  /** One step of learning of the adapter that serves now, or of `adapter`; the pipeline's next call uses what was learned. */
  learn(request: GradientRequest, { adapter }: { readonly adapter?: MicroLora } = {}): Promise<LearnResult> {
    if (adapter !== undefined) return this.#model.learn(request, { adapter });
    const { adapters } = this;
    if (Array.isArray(adapters)) return this.#model.learn(request, { adapters });
    if (adapters !== null) return this.#model.learn(request, { adapter: adapters as MicroLora });
    throw new OnnxError(
      "shape-mismatch",
      "adapter",
      "is missing",
      "Set `adapters`, or pass the adapter that is to learn",
    );
  }

  /** Gives the pipeline its own session back; the model stays open. */
  close(): void {
    this.#host.sessions[this.#name] = this.#original;
  }

  /** As `close`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Makes a transformers.js pipeline or model run with adapters.
 * @param model opened from the same file as the pipeline's model
 * @throws OnnxError `unknown-value` if it has no such session, or one that is attached to already, `wrong-base` if that is of another file
 */
export function attach(
  target: TransformersPipeline | TransformersModel,
  model: LoraModel,
  options: AttachOptions = {},
): Attachment {
  return new Attachment(target, model, options);
}

/** The session of as many inputs, of the same names; if there is none, one that is to be refused with what tells it apart. */
function sessionFor({ inputs }: LoraModel, { sessions }: TransformersModel): string {
  const own = new Set(inputs.map(({ name }) => name));
  const fits = ([, session]: [string, unknown]) => {
    const names = (session as Partial<OrtSession> | undefined)?.inputNames;
    return names?.length === own.size && names.every((name) => own.has(name));
  };
  return Object.entries(sessions).find(fits)?.[0] ?? ("model" in sessions ? "model" : "decoder_model_merged");
}

function isTexts(sources: string | readonly string[] | Feeds): sources is string | readonly string[] {
  return typeof sources === "string" || Array.isArray(sources);
}

/** One text as a list of one. @throws OnnxError `invalid-argument` */
function listOf(texts: string | readonly string[], where: string): readonly string[] {
  const list = typeof texts === "string" ? [texts] : texts;
  if (!Array.isArray(list) || !list.every((text) => typeof text === "string"))
    refuseArgument(where, texts, "Pass a text, or a list of texts");
  return list;
}

/** Sessions of attachments, which are not to be stood in for again: they could be taken away in any order. */
const STAND_INS = new WeakSet<object>();

/** An object that transformers.js takes for a session: it reads names and metadata, and runs. */
function standIn(original: OrtSession, { ort }: LoraModel, run: (feeds: Feeds) => Promise<Feeds>): OrtSession {
  const { inputNames, outputNames, inputMetadata, outputMetadata, config } = original as OrtSession &
    Record<string, unknown>;
  let Tensor: TensorClass | undefined = isOf(ort, original) ? (ort.Tensor as TensorClass) : undefined;
  return {
    inputNames,
    outputNames,
    ...{ inputMetadata, outputMetadata, config },
    async run(feeds) {
      const outputs = await run(feeds);
      Tensor ??= Object.values(await original.run(feeds))[0]?.constructor as TensorClass;
      return tensorsOf(Tensor, outputs);
    },
    release: () => original.release(),
  };
}

type TensorClass = new (type: string, data: unknown, dims: readonly number[]) => object & HostTensor;

/** Whether a session is of this copy of onnxruntime: transformers.js takes only tensors that a session of its own copy makes. */
function isOf({ InferenceSession }: Ort, session: OrtSession): boolean {
  return typeof InferenceSession === "function" && session instanceof (InferenceSession as new () => object);
}

function tensorsOf(Tensor: TensorClass, outputs: Feeds): Feeds {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => [
      name,
      (tensor as object) instanceof Tensor ? tensor : new Tensor(tensor.type, tensor.data, tensor.dims),
    ]),
  );
}
