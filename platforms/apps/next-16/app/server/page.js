import { outcome } from "../outcome.js";

export const dynamic = "force-dynamic";

export default async function Page() {
  return <pre data-outcome={JSON.stringify(await outcome({ dimensions: 128 }))} />;
}
