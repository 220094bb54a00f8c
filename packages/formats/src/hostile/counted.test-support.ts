/** What an action took, counted rather than timed. */
export interface Count {
  /** Bytes of arrays, and of entries of maps and sets. */
  readonly allocated: number;
  /** Numbers read one by one, bytes decoded as text or parsed as JSON. */
  readonly read: number;
}

const ENTRY_BYTES = 32;
const TypedArray = Object.getPrototypeOf(Uint8Array) as { readonly prototype: Uint8Array };
const TYPED_ARRAYS = [
  "Uint8Array",
  "Int8Array",
  "Uint16Array",
  "Int16Array",
  "Uint32Array",
  "Int32Array",
  "Float32Array",
  "Float64Array",
  "BigInt64Array",
  "BigUint64Array",
] as const;

type Replaceable = Record<PropertyKey, unknown>;

/** Runs an action, which may throw, with everything that allocates or reads replaced by what also counts. */
export function counted(action: () => unknown): Count & { readonly error: unknown } {
  const count = { allocated: 0, read: 0 };
  const undo: (() => void)[] = [];
  const replace = (owner: object, key: string, by: (original: never) => unknown) => {
    const descriptor = Object.getOwnPropertyDescriptor(owner, key)!;
    (owner as Replaceable)[key] = by(descriptor.value as never);
    undo.push(() => Object.defineProperty(owner, key, descriptor));
  };
  const counting = (owner: object, key: string, add: (args: readonly unknown[], self: unknown) => void) =>
    replace(owner, key, (original: (...args: unknown[]) => unknown) => {
      return function (this: unknown, ...args: unknown[]) {
        add(args, this);
        return original.apply(this, args);
      };
    });
  for (const name of TYPED_ARRAYS) {
    replace(globalThis, name, (original: new (...args: unknown[]) => ArrayBufferView) => {
      return new Proxy(original, {
        construct(target, args, self) {
          const array = Reflect.construct(target, args, self) as ArrayBufferView;
          // A view of a buffer takes none of its own.
          if (!(args[0] instanceof ArrayBuffer)) count.allocated += array.byteLength;
          return array;
        },
      });
    });
  }
  for (const copy of ["slice", "map", "filter"]) {
    counting(TypedArray.prototype, copy, (_, self) => {
      count.allocated += (self as Uint8Array).byteLength;
    });
  }
  counting(Array, "from", ([source]) => {
    const { length } = Object(source) as { length?: number };
    count.allocated += 8 * (length ?? 0);
  });
  const entry = () => {
    count.allocated += ENTRY_BYTES;
  };
  counting(Map.prototype, "set", entry);
  counting(Set.prototype, "add", entry);
  for (const name of ["getUint8", "getUint16", "getUint32", "getFloat32", "getBigUint64", "getBigInt64"]) {
    counting(DataView.prototype, name, () => {
      count.read++;
    });
  }
  counting(TextDecoder.prototype, "decode", ([bytes]) => {
    count.read += (bytes as Uint8Array).byteLength;
    count.allocated += 2 * (bytes as Uint8Array).byteLength;
  });
  counting(JSON, "parse", ([text]) => {
    count.read += (text as string).length;
    count.allocated += 16 * (text as string).length;
  });
  let error: unknown;
  try {
    action();
  } catch (thrown) {
    error = thrown;
  } finally {
    for (const restore of undo.reverse()) restore();
  }
  return { ...count, error };
}
