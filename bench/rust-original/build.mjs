/**
 * Builds the harness around the Rust original: `node bench/rust-original/build.mjs <folder of the crate> [--native]`.
 * Leaves `target/release/parity` and the contender `target/release/librust_original.so`, or the same below `target/native`.
 */
import { buildAround } from "../../scripts/rust-original.mjs";

const [crate, flag] = process.argv.slice(2);
buildAround(import.meta.dirname, crate, flag === "--native");
