#!/usr/bin/env node
import { createRequire } from "node:module";
import { convert } from "./adapters/convert.js";
import { inspect } from "./adapters/inspect.js";
import { merge } from "./adapters/merge.js";
import { chat } from "./chat/chat.js";
import { DEMO_USAGE, demo } from "./demo/demo.js";
import { refusalOf } from "./refusal.js";
import { createTerminal, type Terminal } from "./terminal.js";
import { tryIt } from "./try/try.js";
import { UsageError } from "./usage-error.js";

type Command = (args: readonly string[], terminal: Terminal) => Promise<void>;

const COMMANDS: Readonly<Record<string, Command>> = {
  demo,
  try: tryIt,
  chat,
  // The server is loaded by those who serve only.
  serve: async (...given) => (await import("./serve/serve.js")).serve(...given),
  keys: async (...given) => (await import("./serve/keys.js")).keys(...given),
  backup: async (...given) => (await import("./serve/backup.js")).backup(...given),
  restore: async (...given) => (await import("./serve/backup.js")).restore(...given),
  // So are the readers of logs, by those who evaluate.
  evaluate: async (...given) => (await import("./evaluate/evaluate.js")).evaluate(...given),
  inspect,
  convert,
  merge,
  help,
};

async function help(_: readonly string[], terminal: Terminal): Promise<void> {
  terminal.print(`${DEMO_USAGE}

${COMMANDS_USAGE}`);
}

const COMMANDS_USAGE = `microlora try                               search for yourself and see it learn
microlora chat [MODEL]                      talk to a language model that remembers what you tell it
microlora evaluate LOG [--documents FILE]   whether it would help the users of a log, beside simple baselines
microlora serve [--data FOLDER]             embeddings, search and feedback over HTTP, learned per user
microlora keys add|list|remove              who may call the service
microlora backup TO, microlora restore FROM the service's folder
microlora inspect FILE                      what an adapter or a model holds
microlora convert IN OUT                    an adapter in another format
microlora merge MODEL ADAPTER OUT           an adapter into the weights of a model
microlora --version

Each has a --help of its own.`;

/** Runs the command that the arguments name, the demo if none. @returns the exit code */
async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name = ""] = args;
  const isNamed = name !== "" && !name.startsWith("-");
  try {
    if (name === "--version") {
      terminal.print(createRequire(import.meta.url)("../package.json").version);
      return 0;
    }
    const command = !isNamed ? demo : Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined) {
      throw new UsageError(
        `There is no command ${JSON.stringify(name)}; there are ${Object.keys(COMMANDS).join(", ")}`,
      );
    }
    await command(isNamed ? args.slice(1) : args, terminal);
    return 0;
  } catch (error) {
    terminal.status("");
    const refusal = refusalOf(error);
    if (refusal === undefined) throw error;
    process.stderr.write(`${refusal.message}${refusal.code === undefined ? "" : ` [${refusal.code}]`}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

// `microlora inspect … | head` closes the pipe early, which is not an error of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});
process.exitCode = await main(process.argv.slice(2), createTerminal());
