/** Widths of the weights files that come with the package. */
export type PackagedWidth = 128 | 256;

/** The narrowest file that has so many dimensions. Its components are the first ones of the wider file, bit for bit. */
export function packagedWidth(dimensions = 256): PackagedWidth {
  return dimensions <= 128 ? 128 : 256;
}
