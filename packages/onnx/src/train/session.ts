import { OnnxError } from "../base/errors.js";
import type { ModelFiles } from "../run/files.js";
import type { Ort, OrtSession, OrtSessionOptions, OrtTensor } from "../run/ort.js";
import { createSession, mergeOptions, runSession } from "../run/sessions.js";

type Tensors = Readonly<Record<string, OrtTensor>>;

/**
 * A session of a graph of gradients. onnxruntime's optimisations may turn a graph that runs into one that does not (a transposed cubic
 * Resize, say): where a run fails, the graph is tried as it was written, once, and kept so if that works.
 */
export class TrainingSession {
  readonly #plain: () => Promise<OrtSession>;
  #session: OrtSession;
  #isPlain = false;

  private constructor(session: OrtSession, plain: () => Promise<OrtSession>) {
    this.#session = session;
    this.#plain = plain;
  }

  static async create(ort: Ort, bytes: Uint8Array, files: ModelFiles, options: OrtSessionOptions) {
    const unoptimised = mergeOptions(options, { graphOptimizationLevel: "disabled" });
    const plain = () => createSession(ort, bytes, files, unoptimised);
    try {
      return new TrainingSession(await createSession(ort, bytes, files, options), plain);
    } catch (error) {
      const session = await plain().catch(() => undefined);
      if (session === undefined) throw error;
      return new TrainingSession(session, plain);
    }
  }

  async run(feeds: Tensors): Promise<Tensors> {
    try {
      return await runSession(this.#session, feeds);
    } catch (error) {
      if (this.#isPlain || !(error instanceof OnnxError && error.code === "onnxruntime")) throw error;
      return this.#runPlain(feeds, error);
    }
  }

  async #runPlain(feeds: Tensors, error: OnnxError): Promise<Tensors> {
    this.#isPlain = true;
    const session = await this.#plain().catch(() => undefined);
    if (session === undefined) throw error;
    try {
      const outputs = await runSession(session, feeds);
      const optimised = this.#session;
      this.#session = session;
      await optimised.release();
      return outputs;
    } catch {
      await session.release();
      throw error;
    }
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
