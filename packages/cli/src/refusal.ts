import { MicroLoraError } from "microlora";
import { UsageError } from "./usage-error.js";

/** A refusal for the person at the terminal, printed without a stack. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(
    message: string,
    readonly code: string | undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const OURS = [UsageError, MicroLoraError];

/** An error that says all that its reader needs, as that; undefined for one of which the stack is wanted. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof Refusal) return error;
  if (!(error instanceof Error)) return undefined;
  const { code } = error as { readonly code?: unknown };
  if (!("syscall" in error || OURS.some((kind) => error instanceof kind))) return undefined;
  return new Refusal(error.message, typeof code === "string" ? code : undefined, { cause: error });
}

/** Runs what reads a file of the user's, so that what is refused names the file. @throws Refusal */
export async function ofFile<T>(path: string, action: () => T | Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const refusal = refusalOf(error);
    // What concerns a file as a whole names it already, be it this one or another.
    const isNamed = refusal?.code?.startsWith("cannot-") || refusal?.message.startsWith(`${path}: `);
    if (refusal === undefined || isNamed) throw error;
    throw new Refusal(`${path}: ${refusal.message}`, refusal.code, { cause: error });
  }
}
