// Feeds with which a model of unknown make runs: sizes that its inputs leave open are tried until onnxruntime takes them.

const SIZES = [
  { batch: 2, rest: [8, 8, 8] },
  { batch: 2, rest: [64, 64, 64] },
  { batch: 1, rest: [8, 8, 8] },
  { batch: 1, rest: [64, 64, 64] },
  { batch: 1, rest: [48, 320, 8] },
  { batch: 2, rest: [512, 512, 512] },
  { batch: 1, rest: [512, 512, 512] },
  { batch: 1, rest: [1280, 32, 16] },
  { batch: 1, rest: [76, 32, 1] },
  { batch: 1, rest: [224, 224, 3] },
  { batch: 1, rest: [16_000, 1, 1] },
  { batch: 1, rest: [1, 1, 1] },
];

function numbers(length, seed) {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state / 2_147_483_647) * 2 - 1;
  });
}

const MAKERS = {
  float32: (count, name) => (/^(sr|lengths?)$/.test(name) ? Float32Array.of(16_000) : numbers(count, 7 + name.length)),
  float64: (count, name) => Float64Array.from(numbers(count, 7 + name.length)),
  float16: (count) => new Uint16Array(count).fill(0x3000),
  int64: (count, name) =>
    BigInt64Array.from({ length: count }, (_, i) =>
      name === "sr" ? 16_000n : BigInt(name.includes("mask") ? 1 : 1 + (i % 3)),
    ),
  int32: (count, name) => Int32Array.from({ length: count }, (_, i) => (name.includes("mask") ? 1 : 1 + (i % 3))),
  uint8: (count) => new Uint8Array(count).fill(128),
  bool: (count) => new Uint8Array(count).fill(1),
};

function feedsOf(inputs, { batch, rest }) {
  const symbols = new Map();
  return Object.fromEntries(
    inputs.map(({ name, type }) => {
      let place = 0;
      const dims = (type?.shape ?? []).map((dim, axis) => {
        if (typeof dim === "number") return dim;
        const size = axis === 0 ? batch : rest[Math.min(place++, rest.length - 1)];
        if (!symbols.has(dim)) symbols.set(dim, size);
        return symbols.get(dim);
      });
      const make = MAKERS[type?.dtype];
      if (make === undefined) throw new Error(`input ${name} is ${type?.dtype ?? "no tensor"}`);
      return [
        name,
        {
          type: type.dtype,
          dims,
          data: make(
            dims.reduce((a, b) => a * b, 1),
            name,
          ),
        },
      ];
    }),
  );
}

/** The first feeds that run. @param run gives the outputs, or throws */
export async function feedsThatRun(inputs, run) {
  let last;
  for (const sizes of SIZES) {
    try {
      const feeds = feedsOf(inputs, sizes);
      return { feeds, outputs: await run(feeds) };
    } catch (error) {
      last = error;
    }
  }
  throw last;
}
