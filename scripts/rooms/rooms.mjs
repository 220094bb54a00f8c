/**
 * Which way imports may go. Within a package, data flows from the first room to the last: a room may import the rooms before it, never one
 * after it. `files` lie beside the rooms, on top of all of them. `packages` are the workspaces that the whole package may import.
 *
 * `make.mjs` turns this table into the linter's rules; `rooms.test.mjs` plants one forbidden import for each pair.
 */
export const PACKAGES = {
  microlora: {
    packages: [],
    rooms: ["base", "kernels", "checkpoint", "adapter", "learner", "search", "files"],
    files: ["parts"],
  },
  formats: {
    packages: ["microlora"],
    rooms: [
      "base",
      "picture",
      "safetensors",
      "model",
      "gguf",
      "peft",
      "mlx",
      "layouts",
      "pytorch",
      "bincode",
      "onnx-adapter",
      "native",
      "combine",
      "merge",
      "formats",
      "read",
      "write",
    ],
    files: [],
  },
  embed: { packages: ["microlora"], rooms: [], files: [] },
  onnx: {
    packages: ["microlora", "@microlora/formats"],
    rooms: [
      ...["base", "graph", "autodiff", "graft", "loss", "run", "gguf", "train", "merge", "model", "learner"],
      ...["transformers", "testing"],
    ],
    files: [],
  },
  chat: {
    packages: ["microlora", "@microlora/embed", "@microlora/onnx"],
    rooms: ["base", "tokenizer", "memory", "generate", "learn"],
    files: [],
  },
  store: {
    packages: ["microlora"],
    rooms: ["base", "contract", "memory", "sqlite", "indexeddb", "postgres", "pool", "personal"],
    files: [],
  },
  server: {
    packages: ["microlora", "@microlora/embed", "@microlora/chat", "@microlora/store"],
    rooms: ["base", "auth", "state", "http", "routes"],
    files: ["options", "load-documents", "service"],
  },
  search: {
    packages: ["microlora", "@microlora/embed", "@microlora/store"],
    rooms: ["base", "embedder", "users", "search"],
    files: [],
  },
  integrations: { packages: ["microlora", "@microlora/search"], rooms: [], files: [] },
  "create-microlora": { packages: [], rooms: [], files: ["main"] },
  evaluate: { packages: ["microlora"], rooms: [], files: [] },
  cli: {
    packages: [
      ...["microlora", "@microlora/formats", "@microlora/embed", "@microlora/onnx", "@microlora/chat"],
      ...["@microlora/store", "@microlora/server", "@microlora/integrations", "@microlora/evaluate"],
    ],
    rooms: ["demo", "try", "adapters", "chat", "serve", "evaluate"],
    files: ["main"],
  },
};

/** Every workspace, by the name that others import. */
export const NAMES = {
  microlora: "microlora",
  formats: "@microlora/formats",
  embed: "@microlora/embed",
  onnx: "@microlora/onnx",
  chat: "@microlora/chat",
  store: "@microlora/store",
  server: "@microlora/server",
  search: "@microlora/search",
  integrations: "@microlora/integrations",
  "create-microlora": "create-microlora",
  evaluate: "@microlora/evaluate",
  cli: "@microlora/cli",
};

/** Packages and rooms that run in Node only; elsewhere, `node:` modules are for files named node.ts. */
export const NODE_ONLY = ["cli", "create-microlora", "server", "microlora/files", "store/sqlite", "store/postgres"];
