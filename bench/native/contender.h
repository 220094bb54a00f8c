/* What a compiled contender exports: the native limit (limit.c) and the Rust original (../rust-original) alike. */
#include <stdint.h>

/* forwardAdd; forwardAdd + one learning step; rows with an adapter each; rows with one adapter. */
enum operation { FORWARD, REQUEST, EACH, BATCH };

/* Float32 arrays that the contender copies. `rows` is 1 but for EACH and BATCH, `adapters` is 1 but for EACH. A block of
 * parameters is A [rank, in], then B [rank, out]; `fisher`, `anchor` and `running` are blocks too. */
struct problem {
  uint32_t operation, rank, in, out, rows, adapters;
  float scaling, rate, lambda, decay;
  const float *weights;  /* [adapters, rank * (in + out)] */
  const float *x;        /* [rows, in] */
  const float *gradient; /* [out], dLoss/dOutput; every second request has its negative, so that nothing grows */
  const float *fisher, *anchor, *running;
};

/* NULL if the contender has no such operation. y [rows, out] starts at zero. */
void *contender_open(const struct problem *problem);
/* Nanoseconds that `iterations` of the operation took; every iteration works on the state that the last one left. */
double contender_run(void *contender, uint32_t iterations);
/* Copies y [rows, out] and the first adapter's parameters out. */
void contender_read(void *contender, float *y, float *weights);
void contender_close(void *contender);
