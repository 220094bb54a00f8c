// What the Hermes of 2022 lacks and that of React Native 0.88 has. Global functions that an app of React Native has are `print` here.
const define = (object, name, value) => {
  if (!(name in object)) Object.defineProperty(object, name, { value, configurable: true, writable: true });
};

function at(index) {
  return this[index < 0 ? this.length + index : index];
}
define(Array.prototype, "at", at);
define(Object, "hasOwn", (object, key) => Object.hasOwn(object, key));
define(
  globalThis,
  "WeakRef",
  class {
    constructor(target) {
      this.deref = () => target;
    }
  },
);
define(
  globalThis,
  "TextEncoder",
  class {
    encode(text) {
      return Uint8Array.from(unescape(encodeURIComponent(text)), (c) => c.charCodeAt(0));
    }
  },
);
define(
  globalThis,
  "TextDecoder",
  class {
    decode(bytes) {
      let text = "";
      for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
      return decodeURIComponent(escape(text));
    }
  },
);
