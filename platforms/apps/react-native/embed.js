import "./polyfills.js";
import { loadEmbedder } from "@microlora/embed/inline-128";

loadEmbedder().then(
  (embedder) => print(JSON.stringify({ dimensions: embedder.dimensions, fingerprint: embedder.fingerprint })),
  (error) => print(JSON.stringify({ error: `${error.name} ${error.code}: ${error.message}` })),
);
