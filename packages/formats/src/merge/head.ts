import { FormatError } from "../base/errors.js";
import { isEmbeddingName } from "../picture/embedding-name.js";
import { type LoraFile, type LoraTarget, scalingOf } from "../picture/lora-file.js";
import { moduleOf } from "../picture/select.js";
import type { TensorInfo } from "../safetensors/header.js";
import { productChange, replacement, type TensorChange } from "./change.js";

/** A tensor that the merged model has in addition to its base's tensors. */
export interface AddedTensor {
  /** The tensor of the base that it begins from. */
  readonly like: string;
  /** The change of that tensor; none if undefined. */
  readonly change?: TensorChange;
}

/** Fields of the merged model's config.json that differ from its base's. */
export interface ConfigChange {
  /** false where the head no longer shares the embedding's weight. */
  readonly tie_word_embeddings?: false;
  /** Rows of the embedding, where they are more than before. */
  readonly vocab_size?: number;
}

/** What merging does to the model's head, which may be its embedding. */
export interface HeadPlan {
  /** Whether a tensor of the adapter's is taken care of here. */
  handles(path: string): boolean;
  readonly added: ReadonlyMap<string, AddedTensor>;
  readonly config: ConfigChange;
  readonly warnings: readonly string[];
}

interface HeadRequest {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly file: LoraFile;
  readonly nameOf: (path: string) => string;
  readonly tiedHead: boolean | undefined;
  readonly unmerge: boolean;
}

const HEAD = /(^|\.)(lm_head|embed_out|output_layer|cls\.predictions\.decoder|proj_out)\.weight$/;
const POSITIONS = /(^|\.)(wpe|position_embeddings|token_type_embeddings)$/;

/** Whether a tensor is the weight of a language model's head, told by its name. */
export function isHeadName(tensor: string): boolean {
  return HEAD.test(tensor);
}

function isTokenEmbedding(tensor: string): boolean {
  const module = moduleOf(tensor);
  return tensor.endsWith(".weight") && isEmbeddingName(module) && !POSITIONS.test(module);
}

/**
 * Unties the head where the adapter changes the head or the embedding and the model stores one tensor for both: beside the
 * model the other one would not move. Where a vocabulary has grown, both have to grow.
 * @throws FormatError `bad-shape` where only one of the two has grown
 */
export function planHead(request: HeadRequest): HeadPlan {
  const { tensors, file, nameOf, tiedHead, unmerge } = request;
  const paths = [...file.targets.map(({ module }) => `${module}.weight`), ...file.replaced.keys()];
  const head = paths.find(isHeadName);
  const embedding = paths.find(isTokenEmbedding);
  const stored = [...tensors.keys()].find(isHeadName);
  const rows = embedding === undefined ? undefined : grownRows(request, embedding);
  const config: { tie_word_embeddings?: false; vocab_size?: number } = rows === undefined ? {} : { vocab_size: rows };
  const plan = {
    handles: (_: string) => false,
    added: new Map<string, AddedTensor>(),
    config,
    warnings: [] as string[],
  };
  if (unmerge || (head === undefined && embedding === undefined)) return plan;
  const isOneChange = head !== undefined && embedding !== undefined && isSameChange(file, head, embedding);
  if (stored !== undefined) {
    if (rows !== undefined) refuseHalfGrown(request, head, stored, rows);
    if (tiedHead === true && !isOneChange) config.tie_word_embeddings = false;
    return plan;
  }
  // One tensor for both, and one change for both: they stay one.
  if (isOneChange) return { ...plan, handles: (path) => path === head };
  if (head !== undefined) {
    const like = embeddingLike(request, head);
    if (like === undefined) return plan;
    plan.added.set(nameOf(head), { like, change: headChange(request, head, like) });
    config.tie_word_embeddings = false;
    return { ...plan, handles: (path) => path === head };
  }
  if (tiedHead === false || embedding === undefined) return plan;
  if (tiedHead === undefined) {
    plan.warnings.push(`${embedding} changes, and so does the head if it is tied to it: the model has none of its own`);
  } else if (rows !== undefined) {
    plan.warnings.push(`the head is tied to ${embedding}, and takes its ${rows} rows as they were trained`);
  } else {
    const like = nameOf(embedding);
    plan.added.set(headNameFor(like), { like });
    config.tie_word_embeddings = false;
  }
  return plan;
}

/** How many rows the embedding has after merging, if that is another number than before. */
function grownRows({ tensors, file, nameOf }: HeadRequest, embedding: string): number | undefined {
  const base = tensors.get(nameOf(embedding))?.shape[0];
  const now = (file.replaced.get(embedding) ?? file.carried.get(embedding))?.shape[0];
  return base === undefined || now === undefined || now === base ? undefined : now;
}

function refuseHalfGrown({ tensors, file }: HeadRequest, head: string | undefined, stored: string, rows: number): void {
  const own = head === undefined ? undefined : (file.replaced.get(head) ?? file.carried.get(head))?.shape[0];
  const now = own ?? tensors.get(stored)!.shape[0];
  if (now === rows) return;
  throw new FormatError(
    "bad-shape",
    stored,
    `has ${now} rows, and the embedding has ${rows} after merging: tokens were added to its vocabulary`,
    "Save the adapter with the head as well (save_embedding_layers=True), or merge into the resized model",
  );
}

/** The embedding that a tied head is: of the sizes that the adapter of the head has. */
function embeddingLike({ tensors, file }: HeadRequest, head: string): string | undefined {
  const target = file.targets.find(({ module }) => `${module}.weight` === head);
  const [rows, cols] = target === undefined ? file.replaced.get(head)!.shape : [target.outFeatures, target.inFeatures];
  return [...tensors].find(
    ([name, { shape }]) => isTokenEmbedding(name) && shape.length === 2 && shape[1] === cols && shape[0]! <= rows!,
  )?.[0];
}

function headChange({ tensors, file }: HeadRequest, head: string, like: string): TensorChange {
  const info = tensors.get(like)!;
  const replaced = file.replaced.get(head);
  if (replaced !== undefined) return replacement(head, info, replaced);
  const target = file.targets.find(({ module }) => `${module}.weight` === head)!;
  return productChange(head, info, { ...target, weightLayout: "out-in" }, 1);
}

/** Whether an adapter does the same to both, as PEFT's `ensure_weight_tying` has it. */
function isSameChange({ targets, replaced }: LoraFile, head: string, embedding: string): boolean {
  const [wholeHead, wholeEmbedding] = [replaced.get(head), replaced.get(embedding)];
  if (wholeHead !== undefined && wholeEmbedding !== undefined) return isSame(wholeHead.data, wholeEmbedding.data);
  const [ofHead, ofEmbedding] = [head, embedding].map((path) =>
    targets.find(({ module }) => `${module}.weight` === path),
  );
  return ofHead !== undefined && ofEmbedding !== undefined && isTransposed(ofHead, ofEmbedding);
}

function isTransposed(head: LoraTarget, embedding: LoraTarget): boolean {
  return (
    scalingOf(head) === scalingOf(embedding) &&
    head.magnitude === undefined &&
    embedding.magnitude === undefined &&
    isSame(head.loraA, embedding.loraB) &&
    isSame(head.loraB, embedding.loraA)
  );
}

function isSame(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** What Transformers calls the head of a model whose embedding is called so. */
function headNameFor(embedding: string): string {
  if (embedding.endsWith("embed_in.weight")) return "embed_out.weight";
  if (embedding.endsWith("word_embeddings.weight") && embedding.includes("embeddings.word_embeddings")) {
    return "cls.predictions.decoder.weight";
  }
  return /^language_model\.model\./.test(embedding) ? "language_model.lm_head.weight" : "lm_head.weight";
}
