#!/usr/bin/env node
import { MicroLoraError } from "microlora";
import { demo } from "./demo/demo.js";
import { createTerminal, type Terminal } from "./terminal.js";
import { tryIt } from "./try/try.js";
import { UsageError } from "./usage-error.js";

type Command = (args: readonly string[], terminal: Terminal) => Promise<void>;

const COMMANDS: Readonly<Record<string, Command>> = { demo, try: tryIt };

/** Runs the command that the arguments name, the demo if none. @returns the exit code */
async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name = ""] = args;
  const isNamed = name !== "" && !name.startsWith("-");
  try {
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
    if (error instanceof UsageError || error instanceof RangeError || error instanceof MicroLoraError) {
      process.stderr.write(`${error.message}\n`);
      return error instanceof UsageError ? 2 : 1;
    }
    throw error;
  }
}

process.exitCode = await main(process.argv.slice(2), createTerminal());
