import { expect, test } from "vitest";
import { floats } from "../base/samples.test-support.js";
import { Runtime } from "../kernels/runtime.js";
import { Personalizer } from "./personalizer.js";

const N = 256;
const SHOWN = Array.from({ length: 20 }, (_, j) => floats(N, 900 + j));
const click = (user: Personalizer, k: number) =>
  user.learn({ query: floats(N, k), chosen: SHOWN[k % 20]!, shown: SHOWN });

test("at 256 wide a user takes a few kilobytes, in memory and as a file", async () => {
  const runtime = await Runtime.create({ memoryBytes: 2 ** 22 });
  using first = await Personalizer.create({ dimensions: N, runtime });
  click(first, 0);
  const before = runtime.usedBytes;
  using user = await Personalizer.create({ dimensions: N, runtime });
  click(user, 1);
  expect(runtime.usedBytes - before).toBeLessThanOrEqual(24 * 1024);
  expect(runtime.usedBytes - before).toBeLessThanOrEqual(Personalizer.memoryBytes({ dimensions: N }, 1) + 64);
  expect(user.toBytes().length).toBeLessThanOrEqual(8 * 1024);
  for (let k = 2; k <= 128; k++) click(user, k);
  expect(user.clicks).toBe(128);
  expect(user.toBytes().length).toBeLessThanOrEqual(100 * 1024);
});
