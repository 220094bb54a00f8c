/**
 * exp and log that give the same bits on every engine: ECMAScript leaves the last digits of `Math.exp` and `Math.log` to the engine, and
 * what is learned hangs on them. Only sums, products, quotients and roots are used, which IEEE 754 fixes. The method and its coefficients
 * are those of FDLIBM (Sun Microsystems 1993, `e_exp.c` and `e_log.c`): reduction to a small interval, and a minimax polynomial there.
 */

const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;

/** Smaller arguments give 0, larger ones Infinity. */
const SMALLEST = -708;
const LARGEST = 709;

const number = new Float64Array(1);
/** The two halves of `number`, the lower one first: typed arrays are little-endian on everything that runs WebAssembly. */
const words = new Uint32Array(number.buffer);

/** e^x; 0 below the smallest normal number. */
export function exp(x: number): number {
  if (!(x >= SMALLEST)) return x < SMALLEST ? 0 : Number.NaN;
  if (x > LARGEST) return Number.POSITIVE_INFINITY;
  const k = Math.floor(x / Math.LN2 + 0.5);
  const high = x - k * LN2_HIGH;
  const low = k * LN2_LOW;
  const r = high - low;
  const z = r * r;
  const c =
    r -
    z *
      (0.16666666666666602 +
        z *
          (-0.0027777777777015593 +
            z * (6.613756321437934e-5 + z * (-1.6533902205465252e-6 + z * 4.1381367970572385e-8))));
  words[0] = 0;
  words[1] = (k + 1023) << 20;
  return (1 - (low - (r * c) / (2 - c) - high)) * number[0]!;
}

/** Natural logarithm of a normal number. */
export function log(x: number): number {
  if (!(x > 0)) return x === 0 ? Number.NEGATIVE_INFINITY : Number.NaN;
  if (x === Number.POSITIVE_INFINITY) return x;
  number[0] = x;
  let k = (words[1]! >>> 20) - 1023;
  words[1] = (words[1]! & 0xf_ffff) | 0x3ff0_0000;
  let mantissa = number[0]!;
  if (mantissa > Math.SQRT2) {
    mantissa /= 2;
    k++;
  }
  const f = mantissa - 1;
  const s = f / (2 + f);
  const z = s * s;
  const w = z * z;
  const odd = z * (0.6666666666666735 + w * (0.2857142874366239 + w * (0.1818357216161805 + w * 0.14798198605116586)));
  const even = w * (0.3999999999940942 + w * (0.22222198432149784 + w * 0.15313837699209373));
  const half = 0.5 * f * f;
  return k * LN2_HIGH - (half - (s * (half + odd + even) + k * LN2_LOW) - f);
}

/** log(1 + x) for x >= 0, right where x is small. */
export function log1p(x: number): number {
  const sum = 1 + x;
  return sum === 1 ? x : (log(sum) * x) / (sum - 1);
}
