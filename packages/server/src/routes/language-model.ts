import { basename } from "node:path";
import type { ChatOptions } from "@microlora/chat/node";
import type { LanguageModel } from "../http/context.js";

/** Opens the language model of a service; null where none is asked for. @throws ChatError, OnnxError */
export async function openLanguageModel({
  model,
  ort,
}: {
  readonly model?: string;
  readonly ort?: unknown;
}): Promise<LanguageModel | null> {
  if (model === undefined) return null;
  // Loaded by services with a language model only: it takes longer than all the rest.
  const { openChat } = await import("@microlora/chat/node");
  const options = { ort, sessionOptions: { logSeverityLevel: 3 } } as unknown as ChatOptions;
  const name = basename(model).replace(/\.(?:gguf|onnx)$/i, "");
  return { name, chat: await openChat(model, options) };
}
