import type { Remote } from "comlink";
import type { Session, Status } from "../worker/session.js";

const MARK = "#replay=";

/** An address that holds a user's choices, after its `#`, which no server sees. */
export function linkOf(json: string): string {
  const bytes = new TextEncoder().encode(JSON.stringify(JSON.parse(json)));
  const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return `${location.href.split("#")[0]}${MARK}${text.replaceAll("+", "-").replaceAll("/", "_")}`;
}

/** Takes in the choices of the page's own address, if it holds some. */
export async function replayed(session: Remote<Session>, status: Status): Promise<Status> {
  const { hash } = location;
  if (!hash.startsWith(MARK)) return status;
  try {
    const text = atob(hash.slice(MARK.length).replaceAll("-", "+").replaceAll("_", "/"));
    const json = new TextDecoder().decode(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
    const { corpus } = JSON.parse(json) as { readonly corpus?: string };
    if (corpus !== undefined && corpus !== status.corpus) await session.openCorpus(corpus);
    return await session.import(json);
  } catch {
    return status;
  }
}
