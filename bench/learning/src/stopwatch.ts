/** Adds up the time that calls take. */
export class Stopwatch {
  #milliseconds = 0;
  #calls = 0;

  time(call: () => void): void {
    const start = performance.now();
    call();
    this.#milliseconds += performance.now() - start;
    this.#calls++;
  }

  /** Mean of a call; 0 if there was none. */
  get microseconds(): number {
    return this.#calls === 0 ? 0 : (1000 * this.#milliseconds) / this.#calls;
  }
}
