/**
 * The part of onnxruntime's JavaScript API that this package uses, as onnxruntime-node and onnxruntime-web both have it.
 * The caller hands it in, so that the package depends on neither.
 */

export interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
}

export interface OrtSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
  run(
    feeds: Readonly<Record<string, OrtTensor>>,
    fetches: readonly string[],
  ): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}

/** A file that a model refers to, handed over in memory; what onnxruntime calls `externalData`. */
export interface OrtExternalFile {
  readonly path: string;
  readonly data: Uint8Array;
}

export interface OrtSessionOptions {
  readonly externalData?: readonly OrtExternalFile[];
  readonly graphOptimizationLevel?: "disabled" | "basic" | "extended" | "layout" | "all";
  readonly [option: string]: unknown;
}

export interface Ort {
  /** Says which of onnxruntime's packages it is. */
  readonly env?: { readonly versions?: { readonly node?: string } };
  /** Of an element type, data and dimensions; onnxruntime types it for each element type apart. */
  readonly Tensor: new (
    ...parts: never[]
  ) => OrtTensor;
  readonly InferenceSession: {
    create(model: string | Uint8Array, options?: OrtSessionOptions): Promise<OrtSession>;
  };
}
