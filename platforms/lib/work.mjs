import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where the rows install and build; it may be removed at any time, and is kept so that the next run is faster. */
export const WORK = process.env.PLATFORMS_FOLDER ?? join(tmpdir(), "microlora-platforms");
