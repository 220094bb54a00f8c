export declare const POSTGRES_PROGRAMS: string | undefined;

type Settings = Readonly<Record<string, string>>;

export declare class Cluster {
  readonly url: string;
  private constructor();
  static start(settings?: Settings): Promise<Cluster>;
  startServer(settings?: Settings): void;
  stopServer(mode: "fast" | "immediate"): void;
  remove(): void;
}
