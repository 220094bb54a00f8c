const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The bytes of a text in base64 (RFC 4648, section 4) that is known to be whole. Not every engine has one of its own. */
export function fromBase64(text: string): Uint8Array {
  const digits = new Uint8Array(128);
  for (let i = 0; i < 64; i++) digits[ALPHABET.charCodeAt(i)] = i;
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  for (let from = 0, to = 0; from < text.length; from += 4, to += 3) {
    const four =
      (digits[text.charCodeAt(from)]! << 18) |
      (digits[text.charCodeAt(from + 1)]! << 12) |
      (digits[text.charCodeAt(from + 2)]! << 6) |
      digits[text.charCodeAt(from + 3)]!;
    // Past the end, where the padding is, a typed array takes nothing.
    bytes[to] = four >> 16;
    bytes[to + 1] = four >> 8;
    bytes[to + 2] = four;
  }
  return bytes;
}
