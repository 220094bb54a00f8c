// Loads a state, clicks and saves so many times; loads again when another process was faster. Prints how many clicks were saved, and how many refused.
import { load, save } from "microlora/node";

const [path, clicks] = process.argv.slice(2);
const x = Float32Array.from({ length: 16 }, (_, i) => Math.sin(i));
let lora = await load(path);
let saved = 0;
let refused = 0;
for (let click = 0; click < Number(clicks); click++) {
  lora.learn(x, { gradient: x, module: "q_proj" });
  try {
    await save(lora, path);
    saved++;
  } catch (error) {
    if (error.code !== "conflict") throw error;
    refused++;
    lora = await load(path);
  }
}
console.log(JSON.stringify({ saved, refused }));
