import {
  openPool,
  PERSONAL_VERSION,
  PersonalUser,
  type PersonalUserConfig,
  type Pool,
  type Step,
  type Store,
} from "@microlora/store";
import { type EmbedderInfo, MicroLoraError, Personalizer, type PersonalizerConfig, type Runtime } from "microlora";

/** What a `Personalizer` of a search may be told. */
export type UserConfig = Omit<PersonalizerConfig, "dimensions" | "embedder" | "baseModel" | "runtime" | "kernels">;

/** A user of a search, whose events name the embedder that they were learned with. */
export class SearchUser extends PersonalUser {
  readonly #version: string;

  constructor(config: PersonalUserConfig, snapshot: Uint8Array | null, version: string) {
    super(config, snapshot);
    this.#version = version;
  }

  /** @throws MicroLoraError `wrong-base` for an event of another embedder */
  override apply(step: Step): void {
    if (step.version !== this.#version) {
      const problem = `was learned as "${step.version}", and this is "${this.#version}"`;
      throw new MicroLoraError("wrong-base", "event", problem, "Search with the embedder that it was learned with");
    }
    super.apply(step);
  }
}

export interface UsersOptions {
  readonly store: Store;
  readonly runtime: Runtime;
  readonly embedder: EmbedderInfo;
  readonly learning?: UserConfig | undefined;
  readonly memoryBytes?: number | undefined;
  readonly now?: (() => number) | undefined;
}

const DEFAULT_MEMORY = 64 * 2 ** 20;

/** Opens the users of a search. @throws MicroLoraError `invalid-config`, `out-of-range`; StoreError `invalid-argument` */
export async function openUsers(options: UsersOptions): Promise<Pool<SearchUser>> {
  const { store, runtime, embedder, learning, memoryBytes = DEFAULT_MEMORY, now } = options;
  const config = { ...learning, embedder, runtime };
  Personalizer.createSync(config).close();
  const version = `${PERSONAL_VERSION} ${embedder.fingerprint ?? `${embedder.dimensions} wide`}`;
  const create = (snapshot: Uint8Array | null) => new SearchUser(config, snapshot, version);
  const kernels = runtime.kernels.name;
  return openPool({ store, create, memoryBytes, kernels, version, ...(now !== undefined && { now }) });
}

/** The runtime whose results are the same bits on every CPU and engine, which a log needs; without SIMD, the one that there is. */
export async function portableRuntime(): Promise<Runtime> {
  const runtimeOf = async (kernels: "simd" | "scalar") => {
    const sample = await Personalizer.create({ dimensions: 1, kernels });
    sample.close();
    return sample.runtime;
  };
  return runtimeOf("simd").catch((error: unknown) => {
    if (error instanceof MicroLoraError && error.code === "kernels-unavailable") return runtimeOf("scalar");
    throw error;
  });
}
