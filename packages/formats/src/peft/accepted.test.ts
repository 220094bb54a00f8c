import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const HERE = import.meta.dirname;

/** Of each folder that we wrote and PEFT loaded with the right logits: by how much they differed, and its files' SHA-256. */
type Accepted = Readonly<Record<string, Readonly<Record<string, string | number>>>>;

/** What vLLM's code for reading LoRA said of each of these folders, and of PEFT's that are refused here. */
interface Vllm {
  readonly says: Readonly<Record<string, string>>;
}

test("what we write is what PEFT loaded, with the same logits to 1e-5, and vLLM read, unless it has biases", {
  timeout: 120_000,
}, () => {
  const accepted: Accepted = JSON.parse(readFileSync(join(HERE, "fixtures", "accepted.json"), "utf8"));
  const vllm: Vllm = JSON.parse(readFileSync(join(HERE, "fixtures", "vllm.json"), "utf8"));
  const folder = mkdtempSync(join(tmpdir(), "microlora-peft-"));
  try {
    execFileSync(process.execPath, [join(HERE, "..", "..", "witness", "write-peft.mjs"), folder]);
    expect(readdirSync(folder).sort()).toEqual(Object.keys(accepted).sort());
    for (const [name, { "logits differ by": difference, ...hashes }] of Object.entries(accepted)) {
      expect(difference).toBeLessThanOrEqual(1e-5);
      expect(Object.keys(hashes)).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
      for (const [file, hash] of Object.entries(hashes)) {
        const bytes = readFileSync(join(folder, name, file));
        expect(createHash("sha256").update(bytes).digest("hex"), `${name}/${file}`).toBe(hash);
      }
      const { bias, lora_bias } = JSON.parse(readFileSync(join(folder, name, "adapter_config.json"), "utf8"));
      expect(vllm.says[name]).toMatch(bias === "none" && !lora_bias ? /^read, \d+ modules/ : /bias/);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
