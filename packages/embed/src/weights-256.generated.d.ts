/** A weights file in base64. inline/make.mjs writes the module beside the compiled code. */
export declare const base64: string;
