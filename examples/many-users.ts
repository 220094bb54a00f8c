// Thousands of users beside one base model: their adapters share one memory, and one call serves a mixed batch.
import { forwardEach, MicroLora, Runtime } from "microlora";

const runtime = await Runtime.create({ memoryBytes: 128 * 1024 * 1024 });
const config = { hiddenSize: 256, rank: 1, targetModules: ["v_proj"], runtime } as const;
const users = await Promise.all(Array.from({ length: 5000 }, (_, seed) => MicroLora.create({ ...config, seed })));

const gradient = Float32Array.from({ length: 256 }, (_, i) => Math.cos(i));
const x = Float32Array.from({ length: 256 }, (_, i) => Math.sin(i));
for (const user of users) user.learn(x, { gradient, module: "v_proj" });

// A batch of three requests: user 7, somebody without an adapter, user 4999.
const rows = [users[7], undefined, users[4999]].map((user) => user?.getAdapter("v_proj") ?? null);
const batch = new Float32Array(3 * 256);
for (let row = 0; row < 3; row++) batch.set(x, row * 256);
const output = new Float32Array(3 * 256);
forwardEach(rows, batch, output);

console.log(`${users.length} users in ${(runtime.usedBytes / 2 ** 20).toFixed(1)} MiB`);
console.log(`row 1 is untouched: ${output.subarray(256, 512).every((value) => value === 0)}`);
for (const user of users) user[Symbol.dispose]();
