/* The native limit: what AVX2 and FMA reach on this machine by hand, with no caller to pay for.
 * Widths must be multiples of 32; every array is aligned to 64 bytes. Ranks 1, 2 and multiples of 4. */
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "contender.h"

typedef __m256 v8;
#define LOAD _mm256_load_ps
#define STORE _mm256_store_ps
#define SPLAT _mm256_set1_ps
#define FMA _mm256_fmadd_ps
#define FNMA _mm256_fnmadd_ps
#define ADD _mm256_add_ps
#define MUL _mm256_mul_ps
#define ZERO _mm256_setzero_ps()

struct contender {
  struct problem p;
  float *weights, *x, *gradient[2], *fisher, *anchor, *running, *y;
  const float **adapter; /* [rows], the block of each row */
  uint32_t step;
};

static inline float sum(v8 a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* u[r] = x · a[r] for R ranks at once, `chains` independent sums each. */
#define DOTS(NAME, R, CHAINS)                                                                   \
  static inline void NAME(const float *x, const float *a, float *u, uint32_t n) {               \
    v8 s[R][CHAINS];                                                                            \
    for (int r = 0; r < R; r++)                                                                 \
      for (int c = 0; c < CHAINS; c++) s[r][c] = ZERO;                                          \
    for (uint32_t i = 0; i < n; i += 8 * CHAINS)                                                \
      for (int c = 0; c < CHAINS; c++) {                                                        \
        v8 xi = LOAD(x + i + 8 * c);                                                            \
        for (int r = 0; r < R; r++) s[r][c] = FMA(xi, LOAD(a + (size_t)r * n + i + 8 * c), s[r][c]); \
      }                                                                                         \
    for (int r = 0; r < R; r++) {                                                               \
      for (int c = 1; c < CHAINS; c++) s[r][0] = ADD(s[r][0], s[r][c]);                         \
      u[r] = sum(s[r][0]);                                                                      \
    }                                                                                           \
  }
DOTS(dots1, 1, 4)
DOTS(dots2, 2, 4)
DOTS(dots4, 4, 2)

static inline void dots(const float *x, const float *a, float *u, uint32_t n, uint32_t rank) {
  if (rank == 1) return dots1(x, a, u, n);
  if (rank == 2) return dots2(x, a, u, n);
  for (uint32_t r = 0; r < rank; r += 4) dots4(x, a + (size_t)r * n, u + r, n);
}

/* y += sum_r c[r] b[r], R rows of b at once. */
#define EXPAND(NAME, R)                                                                  \
  static inline void NAME(const float *c, const float *b, float *y, uint32_t n) {        \
    v8 k[R];                                                                             \
    for (int r = 0; r < R; r++) k[r] = SPLAT(c[r]);                                      \
    for (uint32_t i = 0; i < n; i += 32)                                                 \
      for (int v = 0; v < 4; v++) {                                                      \
        v8 s = LOAD(y + i + 8 * v);                                                      \
        for (int r = 0; r < R; r++) s = FMA(k[r], LOAD(b + (size_t)r * n + i + 8 * v), s); \
        STORE(y + i + 8 * v, s);                                                         \
      }                                                                                  \
  }
EXPAND(expand1, 1)
EXPAND(expand2, 2)
EXPAND(expand4, 4)

static void forward(const float *w, const float *x, float *y, const struct problem *p) {
  float u[64];
  const float *b = w + (size_t)p->rank * p->in;
  dots(x, w, u, p->in, p->rank);
  for (uint32_t r = 0; r < p->rank; r++) u[r] *= p->scaling;
  if (p->rank == 1) return expand1(u, b, y, p->out);
  if (p->rank == 2) return expand2(u, b, y, p->out);
  for (uint32_t r = 0; r < p->rank; r += 4) expand4(u + r, b + (size_t)r * p->out, y, p->out);
}

/* k[row][r] = scaling * (x A) for four rows and R ranks at once, so that A is loaded once for the four. */
#define PROJECT4(NAME, R)                                                                               \
  static inline void NAME(const float *a, const float *x, v8 k[4][R], const struct problem *p) {        \
    v8 s[4][R];                                                                                         \
    for (int row = 0; row < 4; row++)                                                                   \
      for (int r = 0; r < R; r++) s[row][r] = ZERO;                                                     \
    for (uint32_t i = 0; i < p->in; i += 8)                                                             \
      for (int r = 0; r < R; r++) {                                                                     \
        v8 ai = LOAD(a + (size_t)r * p->in + i);                                                        \
        for (int row = 0; row < 4; row++) s[row][r] = FMA(LOAD(x + (size_t)row * p->in + i), ai, s[row][r]); \
      }                                                                                                 \
    for (int row = 0; row < 4; row++)                                                                   \
      for (int r = 0; r < R; r++) k[row][r] = SPLAT(p->scaling * sum(s[row][r]));                       \
  }
PROJECT4(project1, 1)
PROJECT4(project2, 2)

/* y = k B for four rows and R ranks at once, so that B is loaded once for the four; y is added to unless `first`. */
#define EXPAND4(NAME, R)                                                                                         \
  static inline void NAME(const v8 k[4][R], const float *b, float *y, const struct problem *p, int first) {      \
    for (uint32_t o = 0; o < p->out; o += 8)                                                                     \
      for (int row = 0; row < 4; row++) {                                                                        \
        float *to = y + (size_t)row * p->out + o;                                                                \
        v8 t = first ? ZERO : LOAD(to);                                                                          \
        for (int r = 0; r < R; r++) t = FMA(k[row][r], LOAD(b + (size_t)r * p->out + o), t);                     \
        STORE(to, t);                                                                                            \
      }                                                                                                          \
  }
EXPAND4(expand1x4, 1)
EXPAND4(expand2x4, 2)
EXPAND4(expand4x4, 4)

static void batch(struct contender *c) {
  const struct problem *p = &c->p;
  const float *a = c->weights, *b = c->weights + (size_t)p->rank * p->in;
  for (uint32_t row = 0; row < p->rows; row += 4) {
    const float *x = c->x + (size_t)row * p->in;
    float *y = c->y + (size_t)row * p->out;
    if (p->rank == 1) {
      v8 k[4][1];
      project1(a, x, k, p);
      expand1x4(k, b, y, p, 1);
    } else if (p->rank == 2) {
      v8 k[4][2];
      project2(a, x, k, p);
      expand2x4(k, b, y, p, 1);
    } else {
      for (uint32_t r = 0; r < p->rank; r += 4) {
        v8 low[4][2], high[4][2], k[4][4];
        project2(a + (size_t)r * p->in, x, low, p);
        project2(a + (size_t)(r + 2) * p->in, x, high, p);
        for (int i = 0; i < 4; i++) k[i][0] = low[i][0], k[i][1] = low[i][1], k[i][2] = high[i][0], k[i][3] = high[i][1];
        expand4x4(k, b + (size_t)r * p->out, y, p, r == 0);
      }
    }
  }
}

static inline v8 update(float *w, float *running, const float *fisher, const float *anchor, v8 g, const v8 k[4]) {
  v8 old = LOAD(w);
  STORE(running, FMA(k[0], LOAD(running), MUL(k[1], MUL(g, g))));
  v8 next = FNMA(k[2], g, old);
  next = FNMA(MUL(k[3], LOAD(fisher)), _mm256_sub_ps(old, LOAD(anchor)), next);
  STORE(w, next);
  return old;
}

/* forwardAdd and the whole learning step. One pass over B serves y += u B, v = B g and B's update; then one over A. */
static void request(struct contender *c) {
  const struct problem *p = &c->p;
  const float *g = c->gradient[c->step++ & 1];
  const v8 k[4] = {SPLAT(p->decay), SPLAT(1 - p->decay), SPLAT(p->rate), SPLAT(p->rate * p->lambda)};
  float u[64], v[64];
  dots(c->x, c->weights, u, p->in, p->rank);
  for (uint32_t r = 0; r < p->rank; r++) {
    size_t at = (size_t)p->rank * p->in + (size_t)r * p->out;
    v8 su = SPLAT(p->scaling * u[r]), dot[4] = {ZERO, ZERO, ZERO, ZERO};
    for (uint32_t o = 0; o < p->out; o += 32)
      for (int j = 0; j < 4; j++) {
        size_t i = o + 8 * j;
        v8 gi = LOAD(g + i);
        v8 b = update(c->weights + at + i, c->running + at + i, c->fisher + at + i, c->anchor + at + i, MUL(su, gi), k);
        STORE(c->y + i, FMA(su, b, LOAD(c->y + i)));
        dot[j] = FMA(gi, b, dot[j]);
      }
    v[r] = sum(ADD(ADD(dot[0], dot[1]), ADD(dot[2], dot[3])));
  }
  for (uint32_t r = 0; r < p->rank; r++) {
    size_t at = (size_t)r * p->in;
    v8 sv = SPLAT(p->scaling * v[r]);
    for (uint32_t o = 0; o < p->in; o += 16)
      for (int j = 0; j < 2; j++) {
        size_t i = o + 8 * j;
        update(c->weights + at + i, c->running + at + i, c->fisher + at + i, c->anchor + at + i,
               MUL(sv, LOAD(c->x + i)), k);
      }
  }
}

static float *copy(const float *from, size_t n) {
  float *to = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);
  if (from) memcpy(to, from, n * sizeof(float));
  else memset(to, 0, n * sizeof(float));
  return to;
}

void *contender_open(const struct problem *p) {
  if (p->in % 32 || p->out % 32 || (p->rank > 2 && p->rank % 4) || p->rank > 64 || (p->operation == BATCH && p->rows % 4))
    return NULL;
  struct contender *c = calloc(1, sizeof *c);
  size_t block = (size_t)p->rank * (p->in + p->out);
  c->p = *p;
  c->weights = copy(p->weights, p->adapters * block);
  c->x = copy(p->x, (size_t)p->rows * p->in);
  c->y = copy(NULL, (size_t)p->rows * p->out);
  for (int sign = 0; sign < 2; sign++) c->gradient[sign] = copy(p->gradient, p->out);
  for (uint32_t o = 0; o < p->out; o++) c->gradient[1][o] *= -1;
  c->fisher = copy(p->fisher, block);
  c->anchor = copy(p->anchor, block);
  c->running = copy(p->running, block);
  c->adapter = malloc(p->rows * sizeof *c->adapter);
  for (uint32_t row = 0; row < p->rows; row++) c->adapter[row] = c->weights + row % p->adapters * block;
  return c;
}

double contender_run(void *contender, uint32_t iterations) {
  struct contender *c = contender;
  const struct problem *p = &c->p;
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  for (uint32_t i = 0; i < iterations; i++) {
    switch (p->operation) {
      case REQUEST: request(c); break;
      case BATCH: batch(c); break;
      default:
        for (uint32_t row = 0; row < p->rows; row++)
          forward(c->adapter[row], c->x + (size_t)row * p->in, c->y + (size_t)row * p->out, p);
    }
    __asm__ volatile("" ::: "memory");
  }
  clock_gettime(CLOCK_MONOTONIC, &to);
  return (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec);
}

void contender_read(void *contender, float *y, float *weights) {
  struct contender *c = contender;
  memcpy(y, c->y, sizeof(float) * c->p.rows * c->p.out);
  memcpy(weights, c->weights, sizeof(float) * c->p.rank * (c->p.in + c->p.out));
}

void contender_close(void *contender) {
  struct contender *c = contender;
  float *owned[] = {c->weights, c->x, c->y, c->gradient[0], c->gradient[1], c->fisher, c->anchor, c->running};
  for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
  free(c->adapter);
  free(c);
}
