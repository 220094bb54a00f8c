import { SafetensorsReader } from "@microlora/formats/node";
import { columns, type Terminal, visible } from "../terminal.js";

/**
 * Tells the tensors of a safetensors file that holds no adapter, such as a whole model, from its header alone.
 * @returns whether it was one
 */
export async function inspectTensors(path: string, json: boolean, terminal: Terminal): Promise<boolean> {
  await using reader = await SafetensorsReader.open(path);
  const { tensors, metadata } = reader.layout;
  if ([...tensors.keys()].some((name) => ADAPTER_KEY.test(name))) return false;
  const rows = [...tensors].map(([name, { dtype, shape, byteLength }]) => ({ name, dtype, shape, byteLength }));
  const byteLength = rows.reduce((sum, row) => sum + row.byteLength, reader.header.length);
  if (json) {
    const told = {
      format: "safetensors",
      title: TITLE,
      byteLength,
      metadata: Object.fromEntries(metadata),
      tensors: rows,
    };
    terminal.print(JSON.stringify(told));
    return true;
  }
  terminal.print(`${TITLE}, ${byteLength} bytes`);
  terminal.print(`${rows.length} tensors\n`);
  const cells = rows.map((row) => [visible(row.name), row.dtype, row.shape.join(" x "), String(row.byteLength)]);
  for (const line of columns([["tensor", "type", "shape", "bytes"], ...cells])) terminal.print(line);
  return true;
}

/** A key of an adapter, by whatever program: `lora_A`, `lora_down`, `to_q_lora.up`, `lora_unet_…`. */
const ADAPTER_KEY = /(?:^|[._])lora(?:[._]|$)/;

const TITLE = "safetensors without an adapter";
