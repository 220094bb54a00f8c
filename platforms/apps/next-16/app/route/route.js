import { outcome } from "../outcome.js";

export const dynamic = "force-dynamic";

export const GET = async () => Response.json(await outcome());
