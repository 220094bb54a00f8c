/**
 * The part of onnxruntime's JavaScript API that this package uses, as onnxruntime-node and onnxruntime-web both have it.
 * The caller hands it in, so that the package depends on neither.
 */

export interface OrtTensor {
  /** Element type, such as `float32`. */
  readonly type: string;
  /** Size of each dimension. */
  readonly dims: readonly number[];
  /** Elements, row-major. */
  readonly data: unknown;
}

/** A session of onnxruntime. */
export interface OrtSession {
  /** Names of its inputs. */
  readonly inputNames: readonly string[];
  /** Names of its outputs. */
  readonly outputNames: readonly string[];
  /** Runs the model. @param fetches names of the outputs wanted */
  run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
  /** Runs the model. @param fetches names of the outputs wanted */
  run(
    feeds: Readonly<Record<string, OrtTensor>>,
    fetches: readonly string[],
  ): Promise<Readonly<Record<string, OrtTensor>>>;
  /** Frees the session. */
  release(): Promise<void>;
}

/** A file that a model refers to, handed over in memory; what onnxruntime calls `externalData`. */
export interface OrtExternalFile {
  readonly path: string;
  readonly data: Uint8Array;
}

/** Options of a session, as onnxruntime has them. */
export interface OrtSessionOptions {
  /** Data files of the model. */
  readonly externalData?: readonly OrtExternalFile[];
  /** How far onnxruntime rewrites the graph. */
  readonly graphOptimizationLevel?: "disabled" | "basic" | "extended" | "layout" | "all";
  /** Any other option of onnxruntime. */
  readonly [option: string]: unknown;
}

/** The part of onnxruntime that this package uses: `onnxruntime-web`, `onnxruntime-node` or their like. */
export interface Ort {
  /** Says which of onnxruntime's packages it is. */
  readonly env?: { readonly versions?: { readonly node?: string } };
  /** Of an element type, data and dimensions; onnxruntime types it for each element type apart. */
  readonly Tensor: new (
    ...parts: never[]
  ) => OrtTensor;
  /** Makes sessions. */
  readonly InferenceSession: {
    create(model: string | Uint8Array, options?: OrtSessionOptions): Promise<OrtSession>;
  };
}
