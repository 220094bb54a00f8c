import { existsSync, statSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type OpenOptions, openFile, openModel, readGguf } from "@microlora/onnx/node";
import { save } from "microlora/node";
import { ChatError } from "./base/errors.js";
import { Chat, type ChatOptions } from "./chat.js";
import { contextOf, openChat as openElsewhere } from "./open.js";
import { ChatTokenizer, type TokenizerFiles } from "./tokenizer/chat-tokenizer.js";

import type { Store } from "./user.js";

export * from "./index.js";

/** Keeps users in a folder, a file each, which is made if it is not there. A file is whole or not there. */
export function folderStore(folder: string): Store {
  const fileOf = (key: string) => join(folder, `${encodeURIComponent(key)}.facts`);
  return {
    async get(key) {
      return existsSync(fileOf(key)) ? readFile(fileOf(key)) : undefined;
    },
    async set(key, bytes) {
      await mkdir(folder, { recursive: true });
      await save({ toBytes: () => bytes }, fileOf(key));
    },
  };
}

/**
 * Opens a model to talk to.
 * @param source path of a GGUF file, or of a folder with an ONNX file (`onnx/model.onnx` or `model.onnx`, unless `file` says another) and
 * its tokenizer; or what the package's `openChat` takes
 * @throws ChatError `unsupported-tokenizer`, `no-chat-template`, `unsupported-model`; OnnxError as `openModel`
 */
export async function openChat(
  source: Uint8Array | URL | string,
  { file, ...options }: ChatOptions & { readonly file?: string },
): Promise<Chat> {
  if (typeof source !== "string" || /^(?:https?|blob|data):/.test(source)) return openElsewhere(source, options);
  if (existsSync(source) && statSync(source).isDirectory()) {
    const tokenizer = new ChatTokenizer(options.tokenizer ?? (await tokenizerIn(source)));
    const open = (rest: OpenOptions) => openModel(modelIn(source, file), rest);
    return Chat.open(options, tokenizer, open, await contextIn(source));
  }
  const { tokenizer, context } = partsOf(source, options);
  return Chat.open(options, tokenizer, (rest) => openModel(source, rest), context);
}

function partsOf(path: string, { tokenizer }: ChatOptions) {
  if (tokenizer !== undefined) return { tokenizer: new ChatTokenizer(tokenizer), context: undefined };
  using source = openFile(path);
  const { metadata } = readGguf(source);
  return { tokenizer: ChatTokenizer.fromGguf(metadata), context: contextOf(metadata) };
}

/** Tokens that the model of a folder reads; undefined if it has no config.json that says so. */
async function contextIn(folder: string): Promise<number | undefined> {
  const path = join(folder, "config.json");
  if (!existsSync(path)) return undefined;
  const { max_position_embeddings: most } = JSON.parse(await readFile(path, "utf8"));
  return Number.isInteger(most) && most > 0 ? most : undefined;
}

function modelIn(folder: string, file: string | undefined): string {
  const names = file === undefined ? ["onnx/model.onnx", "model.onnx"] : [file, join("onnx", file)];
  const found = names.map((name) => join(folder, name)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new ChatError(
    "unsupported-model",
    folder,
    `has no ${names.join(" or ")}`,
    "Say which file: openChat(…, { file })",
  );
}

async function tokenizerIn(folder: string): Promise<TokenizerFiles> {
  const read = async (name: string) => {
    const path = join(folder, name);
    return existsSync(path) ? JSON.parse(await readFile(path, "utf8")) : undefined;
  };
  const [json, config = {}, generation] = await Promise.all(
    ["tokenizer.json", "tokenizer_config.json", "generation_config.json"].map(read),
  );
  if (json === undefined) {
    throw new ChatError(
      "unsupported-tokenizer",
      folder,
      "has no tokenizer.json",
      "Put the tokenizer's files beside it",
    );
  }
  const template = join(folder, "chat_template.jinja");
  const own = existsSync(template) ? { chat_template: await readFile(template, "utf8") } : {};
  return { json, config: { ...config, ...own }, ...(generation && { generation }) };
}
