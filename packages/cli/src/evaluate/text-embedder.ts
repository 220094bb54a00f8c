import { loadEmbedder } from "@microlora/embed";
import { loadOnnxruntime } from "../chat/onnxruntime.js";

/** Texts to unit vectors of one width. */
export interface TextEmbedder {
  readonly dimensions: number;
  embed(texts: readonly string[]): Promise<readonly Float32Array[]>;
  close(): Promise<void>;
}

/** Texts that a model in ONNX is given at once. */
const BATCH = 32;

/**
 * The embedder of texts.
 * @param model a folder with a sentence embedder in ONNX; null for the embedder of `@microlora/embed`
 */
export async function openEmbedder(model: string | null): Promise<TextEmbedder> {
  if (model === null) {
    const embedder = await loadEmbedder();
    return {
      dimensions: embedder.dimensions,
      embed: async (texts) => embedder.embedBatch(texts),
      close: async () => {},
    };
  }
  const { onnxEmbedder } = await import("@microlora/integrations/onnx");
  const embedder = await onnxEmbedder(model, { ort: (await loadOnnxruntime()) as never });
  return {
    dimensions: embedder.dimensions,
    async embed(texts) {
      const all: Float32Array[] = [];
      for (let at = 0; at < texts.length; at += BATCH) {
        const vectors = await embedder.embedBatch(texts.slice(at, at + BATCH));
        all.push(...vectors.map((vector) => Float32Array.from(vector)));
      }
      return all;
    },
    close: () => embedder.close(),
  };
}
