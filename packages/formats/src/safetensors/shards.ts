import { FormatError, shown } from "../base/errors.js";

/** A name of a file that a file gives, which must not lead out of its folder. @throws FormatError `bad-name` */
export function shardName(name: unknown, index: string): string {
  if (typeof name === "string" && name.endsWith(".safetensors") && !/[/\\]/.test(name)) {
    return name;
  }
  throw new FormatError("bad-name", `${index}: weight_map`, `names ${shown(name)}`, "Name files of its own folder");
}
