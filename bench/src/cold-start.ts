/** One cold start, from the import to the first learned request, in milliseconds; prints JSON. */
const WIDTH = 768;

const from = performance.now();
const { MicroLora } = await import("../../packages/microlora/dist/index.js");
const imported = performance.now();
const lora = await MicroLora.create({ hiddenSize: WIDTH, rank: 2, targetModules: ["q_proj"] });
const created = performance.now();
const [x, y] = [lora.allocate(WIDTH).fill(0.01), lora.allocate(WIDTH)];
lora.forwardAdd(x, "q_proj", y);
lora.learn(x, { gradient: lora.allocate(WIDTH).fill(0.01), module: "q_proj" });
const called = performance.now();
console.log(JSON.stringify({ import: imported - from, create: created - imported, firstRequest: called - created }));

export interface ColdStart {
  readonly import: number;
  readonly create: number;
  readonly firstRequest: number;
}
