import type { MicroLora } from "microlora";
import { OnnxError } from "../base/errors.js";
import type { HostTensor } from "../base/host-tensor.js";
import type { Adapters } from "./adapters.js";
import { completeFeeds } from "./complete.js";
import type { Feeds } from "./feeds.js";
import type { GradientRequest, LearnResult, LoraModel } from "./lora-model.js";
import type { Ort, OrtSession } from "./ort.js";
import { type EncoderDecoder, encoderFeeds, type Pairs, targetFeeds } from "./pairs.js";

/** The part of a transformers.js model that this package uses: `sessions` is a public record of onnxruntime's sessions. */
export interface TransformersModel {
  sessions: Record<string, unknown>;
}

/** A transformers.js pipeline, such as `feature-extraction` or `text-generation`. */
export interface TransformersPipeline {
  readonly model: TransformersModel;
  readonly tokenizer?: Tokenizer;
}

/** What turns texts into tensors: a transformers.js tokenizer. */
type Tokenizer = (texts: string | string[], options: Readonly<Record<string, unknown>>) => unknown;

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
    this.#host = "model" in target ? target.model : target;
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
    const own = this.#model.inputs.map(({ name }) => name);
    const other = session.inputNames?.find((name) => !own.includes(name));
    if (other === undefined) return session;
    throw new OnnxError(
      "wrong-base",
      this.#name,
      `takes ${other}, which the opened model does not`,
      "Open the file that the pipeline runs",
    );
  }

  /** Texts as feeds of the model, padded to one length. */
  async encode(texts: readonly string[], options: Readonly<Record<string, unknown>> = {}): Promise<Feeds> {
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
    sources: readonly string[] | Feeds,
    targets: readonly string[],
    options: Readonly<Record<string, unknown>> = {},
  ): Promise<Pairs> {
    this.#checkEncoder(true, "is no decoder behind an encoder", "Call encode(texts)");
    const encoded = isTexts(sources) ? await this.#tokenize(sources, options) : sources;
    const rows = Object.values(encoded)[0]?.dims[0];
    if (targets.length !== rows) {
      const problem = `are ${targets.length}, for ${rows ?? 0} sources`;
      throw new OnnxError("shape-mismatch", "targets", problem, "Pass one for each source");
    }
    const model = this.#host as EncoderDecoder;
    const states = await encoderFeeds(model, encoded);
    const { feeds, labels } = targetFeeds(model, await this.#tokenize(targets, options));
    return { feeds: completeFeeds(this.#model.inputs, { ...states, ...feeds }), labels };
  }

  #checkEncoder(expected: boolean, problem: string, remedy: string): void {
    const isBehind = this.#model.inputs.some(({ name }) => name === "encoder_hidden_states");
    if (isBehind !== expected) throw new OnnxError("unknown-value", "model", problem, remedy);
  }

  async #tokenize(texts: readonly string[], options: Readonly<Record<string, unknown>>): Promise<Feeds> {
    if (this.#tokenizer === undefined) {
      throw new OnnxError(
        "unknown-value",
        "tokenizer",
        "there is none",
        "Attach a pipeline, or tokenize the texts yourself",
      );
    }
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
  [Symbol.dispose](): void {
    this.#host.sessions[this.#name] = this.#original;
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

function isTexts(sources: readonly string[] | Feeds): sources is readonly string[] {
  return Array.isArray(sources);
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
