import { expect, test } from "vitest";
import { MicroLora } from "./adapter/micro-lora.js";
import { Personalizer } from "./search/personalizer.js";

const NONSENSE: readonly unknown[] = [undefined, null, -3, "state", [], {}];

/** The name of the error that a promise ends with. */
function errorName(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "accepted",
    (error: unknown) => (error instanceof Error ? error.name : String(error)),
  );
}

test("a state with any part missing or of another kind is refused, never a TypeError", async () => {
  using lora = await MicroLora.create({ hiddenSize: 4, targetModules: ["a"] });
  const state = lora.exportState();
  for (const nonsense of NONSENSE) {
    const broken: unknown[] = [nonsense, { ...state, adapters: [nonsense] }];
    for (const key of Object.keys(state)) broken.push({ ...state, [key]: nonsense });
    for (const attempt of broken) expect(await errorName(MicroLora.fromState(attempt as never))).toBe("MicroLoraError");
  }
});

test("so is that of a personalizer", async () => {
  using personalizer = await Personalizer.create({ dimensions: 4 });
  const state = personalizer.exportState();
  for (const nonsense of NONSENSE) {
    const broken: unknown[] = [nonsense];
    for (const key of ["config", "enabled", "clicks", "recall"]) broken.push({ ...state, [key]: nonsense });
    for (const attempt of broken) {
      expect(await errorName(Personalizer.fromState(attempt as never))).toBe("MicroLoraError");
    }
  }
});
