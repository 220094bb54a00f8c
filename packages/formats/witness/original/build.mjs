// Builds the witness around the Rust original: `node build.mjs <folder of the crate>`.
import { buildAround } from "../../../../scripts/rust-original.mjs";

buildAround(import.meta.dirname, process.argv[2]);
