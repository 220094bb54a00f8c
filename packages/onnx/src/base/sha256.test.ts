import { createHash } from "node:crypto";
import { afterEach, expect, test, vi } from "vitest";
import { hexOf, sha256 } from "./sha256.js";

afterEach(() => vi.unstubAllGlobals());

test.each([true, false])("SHA-256 is Node's, with crypto.subtle: %s", async (hasSubtle) => {
  if (!hasSubtle) vi.stubGlobal("crypto", {});
  for (const length of [0, 1, 55, 56, 63, 64, 65, 1000]) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 37) % 251);
    const parts = [bytes.subarray(0, length >> 1), bytes.subarray(length >> 1)];
    expect(hexOf(await sha256(...parts))).toBe(createHash("sha256").update(bytes).digest("hex"));
  }
});
