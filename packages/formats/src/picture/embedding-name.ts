/** How Hugging Face's models call their embeddings, by the last part of the path. */
const EMBEDDING_NAMES = /(^|\.)(embed_tokens|embed_in|tok_embeddings|wte|wpe|\w+_embeddings|shared)$/;

/** Whether a module is an embedding, told by its name where nothing else tells it. */
export function isEmbeddingName(module: string): boolean {
  return EMBEDDING_NAMES.test(module);
}
