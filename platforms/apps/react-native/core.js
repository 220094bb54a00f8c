import "./polyfills.js";
import { EmbeddingIndex, MicroLora, Personalizer } from "microlora";

const vector = (seed) => Float32Array.from({ length: 16 }, (_, i) => Math.sin(seed * 7 + i * (seed + 1)));

async function main() {
  const documents = ["a", "b", "c", "d"].map((id, i) => [id, vector(i)]);
  const index = await EmbeddingIndex.create(documents);
  const user = await Personalizer.create({ dimensions: 16 });
  const query = vector(9);
  const [, , , { id: chosen }] = user.search(query, index, 4);
  const place = () => user.search(query, index, 4).findIndex(({ id }) => id === chosen) + 1;
  const before = place();
  for (let click = 0; click < 20; click++) user.learn({ query, chosen, shown: ["a", "b", "c", "d"], index });
  const again = await Personalizer.fromBytes(user.toBytes());
  const lora = await MicroLora.create({ hiddenSize: 16, rank: 2, targetModules: ["q_proj"] });
  lora.learn(vector(1), { gradient: vector(2), module: "q_proj" });
  const isSame = again.search(query, index, 1)[0].id === user.search(query, index, 1)[0].id;
  return { before, after: place(), isSame, hasLearned: lora.forward(vector(1), "q_proj").some((value) => value !== 0) };
}

main().then(
  (outcome) => print(JSON.stringify(outcome)),
  (error) => print(JSON.stringify({ error: `${error.name} ${error.code}: ${error.message}` })),
);
