// Makes src/graph/serde/onnx.generated.ts from onnx.proto. The generator is large and wanted here alone, so it is no dependency.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = mkdtempSync(join(tmpdir(), "onnx-proto-"));
const packages = ["@bufbuild/buf@1.75.0", "@bufbuild/protoc-gen-es@2.17.0"];
execFileSync(
  "npm",
  [
    "exec",
    "--yes",
    ...packages.map((name) => `--package=${name}`),
    "--",
    "buf",
    "generate",
    here,
    "--template",
    join(here, "buf.gen.yaml"),
    "--output",
    out,
  ],
  { stdio: "inherit", cwd: out },
);
writeFileSync(join(here, "../src/graph/serde/onnx.generated.ts"), readFileSync(join(out, "generated/onnx_pb.ts")));
rmSync(out, { recursive: true });
