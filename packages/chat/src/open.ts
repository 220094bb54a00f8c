import { type GgufMetadata, memorySource, type OpenOptions, openModel, readGguf } from "@microlora/onnx";
import { ChatError } from "./base/errors.js";
import { Chat, type ChatOptions } from "./chat.js";
import { ChatTokenizer } from "./tokenizer/chat-tokenizer.js";

/**
 * Opens a model to talk to.
 * @param source bytes of a GGUF file, or its address; of an ONNX file with `tokenizer`
 * @throws ChatError `unsupported-tokenizer`, `no-chat-template`, `unsupported-model`; OnnxError as `openModel`
 */
export async function openChat(source: Uint8Array | URL | string, options: ChatOptions): Promise<Chat> {
  if (options.tokenizer !== undefined) {
    return Chat.open(options, new ChatTokenizer(options.tokenizer), (rest) => openModel(source, rest));
  }
  const bytes = source instanceof Uint8Array ? source : await fetched(source, options.signal);
  const { metadata } = readGguf(memorySource(bytes));
  const open = (rest: OpenOptions) => openModel(bytes, rest);
  return Chat.open(options, ChatTokenizer.fromGguf(metadata), open, contextOf(metadata));
}

/** Tokens that a GGUF file's model reads; undefined if the file does not say. */
export function contextOf(metadata: GgufMetadata): number | undefined {
  return metadata.number(`${metadata.text("general.architecture")}.context_length`);
}

async function fetched(source: URL | string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const response = await fetch(source, signal === undefined ? {} : { signal }).catch((cause: unknown) => {
    throw new ChatError("unsupported-model", String(source), "it could not be fetched", "Check the address", { cause });
  });
  if (response.ok) return new Uint8Array(await response.arrayBuffer());
  const problem = `the server says ${response.status}`;
  throw new ChatError("unsupported-model", String(source), problem, "Check the address");
}
