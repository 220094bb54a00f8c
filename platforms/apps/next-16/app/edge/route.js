import { outcome } from "../outcome.js";

export const runtime = "edge";

export const GET = async () => Response.json(await outcome({ dimensions: 128 }));
