import { beforeAll, describe, expect, test } from "vitest";
import { decodeState } from "./adapter/codec.js";
import { MicroLora } from "./adapter/micro-lora.js";
import { expectRejection, expectSameBytes } from "./base/refusals.test-support.js";
import { floats, uniformFrom } from "./base/samples.test-support.js";
import { forge, partsOf, signed, withHeader } from "./checkpoint/forge.test-support.js";
import { Runtime } from "./kernels/runtime.js";
import { Personalizer } from "./search/personalizer.js";

const CODES = [
  "not-a-checkpoint",
  "truncated-checkpoint",
  "unsupported-version",
  "checksum-mismatch",
  "corrupt-checkpoint",
];

let file: Uint8Array;

/** A small file in which every kind of block is present. */
beforeAll(async () => {
  const dimensions = { m: { inFeatures: 3, outFeatures: 2 }, n: { inFeatures: 1, outFeatures: 2 } };
  using lora = await MicroLora.create({ dimensions, targetModules: ["m", "n"], rank: 1, bias: true, kernels: "simd" });
  lora.learn(floats(3, 1), { gradient: floats(2, 2), module: "m" });
  lora.consolidate();
  lora.learn(floats(3, 1), { gradient: floats(2, 2), module: "m" });
  lora.adapt(floats(3, 1), { gradient: floats(2, 2), module: "m" });
  file = lora.toBytes();
});

/** The code with which bytes are refused; anything but a typed refusal fails. */
function refusalOf(bytes: Uint8Array): string {
  try {
    decodeState(bytes);
  } catch (error) {
    expect(error).toMatchObject({ name: "MicroLoraError" });
    const { code, where, message } = error as { code: string; where: string; message: string };
    expect(CODES).toContain(code);
    expect(where).not.toBe("");
    expect(message.length).toBeLessThan(1000);
    return code;
  }
  throw new Error("was accepted");
}

test("every truncation is refused", () => {
  for (let length = 0; length < file.length; length++) {
    expect(refusalOf(file.subarray(0, length)), `${length} bytes`).toBe("truncated-checkpoint");
  }
});

test("10,000 single flipped bits, and bursts of them, are refused", () => {
  const uniform = uniformFrom(20);
  for (let k = 0; k < 10_000; k++) {
    const flipped = file.slice();
    const flips = k % 2 === 0 ? 1 : 1 + Math.floor(uniform() * 8);
    const first = Math.floor(uniform() * (file.length * 8 - flips));
    for (let bit = first; bit < first + flips; bit++) flipped[bit >> 3]! ^= 1 << (bit & 7);
    refusalOf(flipped);
  }
});

test("bytes after the end are refused, signed or not", () => {
  for (const extra of [1, 3, 4, 400]) {
    const longer = new Uint8Array(file.length + extra);
    longer.set(file);
    expect(refusalOf(longer)).toBe("corrupt-checkpoint");
    expect(refusalOf(signed(longer))).toBe("corrupt-checkpoint");
    new DataView(longer.buffer).setUint32(12, longer.length, true);
    expect(refusalOf(signed(longer))).toBe("corrupt-checkpoint");
  }
});

test("what is no checkpoint says so", () => {
  const code = "not-a-checkpoint";
  for (let at = 0; at < 8; at++) {
    const other = file.slice();
    other[at]! ^= 0x20;
    expect(refusalOf(signed(other))).toBe(code);
  }
  for (const text of ["PK", '{"kind":"micro-lora"}', "GGUF", "\n"]) {
    expect(refusalOf(new TextEncoder().encode(text.padEnd(64)))).toBe(code);
  }
  for (const value of [null, undefined, "text", [...file], file.buffer, {}]) {
    expect(refusalOf(value as Uint8Array)).toBe(code);
  }
});

test("another version is refused before anything else is believed", () => {
  for (const version of [0, 5, 2 ** 31, 2 ** 32 - 1]) {
    expect(refusalOf(forge({ ...partsOf(file), version }))).toBe("unsupported-version");
  }
});

test("a lying length of the header is refused", () => {
  for (const length of [0, 1, 4, 2 ** 31, 2 ** 32 - 4, 2 ** 32 - 1, file.length, file.length - 24, file.length - 20]) {
    const lying = file.slice();
    new DataView(lying.buffer).setUint32(16, length, true);
    expect(refusalOf(signed(lying)), `${length}`).toBe("corrupt-checkpoint");
  }
});

const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels);

// biome-ignore lint/suspicious/noExplicitAny: headers that lie have no type
const LIES: Readonly<Record<string, (header: any) => unknown>> = {
  "no JSON": () => "{",
  "a number for a header": () => "5",
  "null for a header": () => "null",
  "a list for a header": () => "[]",
  "deep nesting": (header) => JSON.stringify(header).replace("{", `{"deep":${deep(100_000)},"kernels":1,`),
  "deep nesting as the kind": () => `{"kind":${deep(100_000)}}`,
  "deep nesting as the kernels": (header) => JSON.stringify({ ...header, kernels: "@" }).replace('"@"', deep(100_000)),
  "deep nesting as a count": (header) => JSON.stringify({ ...header, forwardCount: "@" }).replace('"@"', deep(100_000)),
  "a kind that cannot be shown": () => '{"kind":{"toString":1,"valueOf":1}}',
  "kernels that cannot be shown": (header) => ({ ...header, kernels: { toString: 1 } }),
  "a block that cannot be shown": (header) => {
    header.adapters[0].blocks[0] = { toString: 1 };
  },
  "an init that cannot be shown": (header) => {
    header.config.init = { toString: 1, valueOf: 1 };
  },
  "a very long name of the kernels": (header) => ({ ...header, kernels: "x".repeat(100_000) }),
  "__proto__ instead of the fields": (header) => `{"kind":"micro-lora","__proto__":${JSON.stringify(header)}}`,
  "a configuration in __proto__": (header) => ({
    ...header,
    config: JSON.parse(`{"__proto__":${JSON.stringify(header.config)}}`),
  }),
  "unknown kernels": (header) => ({ ...header, kernels: "avx" }),
  "kernels of an object's own": (header) => ({ ...header, kernels: "constructor" }),
  "enabled as a number": (header) => ({ ...header, enabled: 1 }),
  "a negative count": (header) => ({ ...header, adaptationCount: -1 }),
  "half a count": (header) => ({ ...header, forwardCount: 1.5 }),
  "a count that is not exact": (header) => ({ ...header, forwardCount: 2 ** 53 }),
  "rank 0": (header) => {
    header.config.modules[0].rank = 0;
  },
  "a huge rank": (header) => {
    header.config.modules[0].rank = 1e9;
  },
  "a rank that the numbers do not have": (header) => {
    header.config.modules[0].rank = 64;
  },
  "a rank of one module that the numbers do not have": (header) => {
    header.config.modules[1].rank = 2;
  },
  "a rank for all modules": (header) => {
    header.config = { rank: 1, ...header.config };
  },
  "a module without a rank": (header) => delete header.config.modules[1].rank && header,
  "an alpha as text": (header) => {
    header.config.modules[1].alpha = "4";
  },
  "another shape of the same size": (header) => {
    Object.assign(header.config.modules[0], { inFeatures: 2, outFeatures: 3 });
  },
  "giant dimensions": (header) => {
    header.config.modules[0].inFeatures = 2 ** 24;
    header.config.modules[0].rank = 64;
  },
  "impossible dimensions": (header) => {
    header.config.modules[0].outFeatures = 1e300;
  },
  "negative dimensions": (header) => {
    header.config.modules[0].outFeatures = -2;
  },
  "dimensions as text": (header) => {
    header.config.modules[0].outFeatures = "2";
  },
  "a number beyond float64": (header) => JSON.stringify(header).replace('"alpha":4', '"alpha":1e999'),
  "a module twice": (header) => {
    header.config.modules[1].module = "m";
  },
  "a module without a name": (header) => {
    header.config.modules[1].module = "";
  },
  "a module too many": (header) => {
    header.config.modules.push({ module: "o", inFeatures: 1, outFeatures: 1, rank: 1, alpha: 4 });
  },
  "an adapter too many": (header) => {
    header.adapters.push(header.adapters[0]);
  },
  "no modules": (header) => {
    header.config.modules = [];
    header.adapters = [];
  },
  "blocks out of order": (header) => {
    header.adapters[0].blocks.reverse();
  },
  "a block twice": (header) => {
    header.adapters[0].blocks.push("pending");
  },
  "a block missing": (header) => {
    header.adapters[0].blocks.pop();
  },
  "an unknown block": (header) => {
    header.adapters[0].blocks[0] = "constructor";
  },
  "an anchor without a Fisher": (header) => {
    header.adapters[1].blocks = ["anchor"];
  },
  "pending gradients without a count": (header) => {
    header.adapters[0].pendingUpdates = 0;
  },
  "a count without pending gradients": (header) => {
    header.adapters[1].pendingUpdates = 3;
  },
  "a bias that is not there": (header) => {
    header.config.bias = false;
  },
  "a field too many": (header) => ({ ...header, note: "hello" }),
  "a field too many inside": (header) => {
    header.config.modules[0].note = 1;
  },
  "another order of keys": (header) => Object.fromEntries(Object.entries(header).reverse()),
  "another spelling of a number": (header) => JSON.stringify(header).replace('"alpha":4', '"alpha":4.0'),
  "white space": (header) => JSON.stringify(header, null, 1),
  "a key twice": (header) => JSON.stringify(header).replace("{", '{"enabled":true,'),
  "more padding than it needs": (header) => `${JSON.stringify(header)}       `,
  "a negative learning rate": (header) => {
    header.config.learning.learningRate = -1;
  },
  "a base model that is no text": (header) => {
    header.config.baseModel = { toString: 1 };
  },
};

test.each(Object.keys(LIES))("a signed header with %s is refused", (lie) => {
  const code = refusalOf(withHeader(file, LIES[lie]!));
  expect(["corrupt-checkpoint", "not-a-checkpoint"]).toContain(code);
});

test("every field that is missing, or null, is refused, wherever it is", () => {
  const header: unknown = JSON.parse(partsOf(file).header);
  for (const path of pathsOf(header)) {
    for (const remove of [true, false]) {
      // The fields that may be null, and are.
      if (!remove && ["baseModel", "clipNorm"].includes(path.at(-1)!)) continue;
      const lying = withHeader(file, (copy) => {
        const parent = path.slice(0, -1).reduce((at, key) => at[key], copy);
        const last = path.at(-1)!;
        if (!remove) parent[last] = null;
        else if (Array.isArray(parent)) parent.splice(Number(last), 1);
        else delete parent[last];
      });
      expect(refusalOf(lying), path.join(".")).toBeTypeOf("string");
    }
  }
});

function pathsOf(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [[key], ...pathsOf(child).map((path) => [key, ...path])]);
}

test("a number that is not finite, or a negative square, is refused wherever it is", () => {
  const parts = partsOf(file);
  const squares = parts.floats.findIndex((_, i) => isRefused(i, -1));
  expect(squares, "the Fisher comes after A, B and the bias").toBe(3 + 2 + 2);
  for (let i = 0; i < parts.floats.length; i++) {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(isRefused(i, value), `${i}`).toBe(true);
    }
  }

  function isRefused(i: number, value: number): boolean {
    const lying = parts.floats.slice();
    lying[i] = value;
    try {
      return refusalOf(forge({ ...parts, floats: lying })) === "corrupt-checkpoint";
    } catch {
      return false;
    }
  }
});

describe("loading what was refused", () => {
  test("takes no memory, and no more time or space than the file has", async () => {
    const runtime = await Runtime.create({ memoryBytes: 65_536 });
    for (const lie of ["giant dimensions", "a huge rank", "a module too many"]) {
      await expectRejection(MicroLora.fromBytes(withHeader(file, LIES[lie]!), { runtime }), "corrupt-checkpoint");
    }
    expect(runtime.usedBytes).toBe(0);
  });

  test("keys of a header do not reach any prototype", () => {
    const lying = withHeader(file, (header) => JSON.stringify(header).replace("{", '{"__proto__":{"polluted":1},'));
    refusalOf(lying);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  test("one kind of file is not taken for the other", async () => {
    using personalizer = await Personalizer.create({ dimensions: 4 });
    await expectRejection(MicroLora.fromBytes(personalizer.toBytes()), "not-a-checkpoint");
    await expectRejection(Personalizer.fromBytes(file), "not-a-checkpoint");
  });
});

test("the file itself is in order", async () => {
  using lora = await MicroLora.fromBytes(file, { kernels: "simd" });
  expectSameBytes(lora.toBytes(), file);
});
