/* Loads a contender's shared library into this Node process, so that its slices of time lie between ours. */
#include <dlfcn.h>
#include <node_api.h>
#include <stdlib.h>

#include "contender.h"

struct loaded {
  void *contender;
  double (*run)(void *, uint32_t);
  void (*read)(void *, float *, float *);
  void (*close)(void *);
};

static napi_value fail(napi_env env, const char *message) {
  napi_throw_error(env, NULL, message);
  return NULL;
}

static napi_value field(napi_env env, napi_value object, const char *name) {
  napi_value value;
  napi_get_named_property(env, object, name, &value);
  return value;
}

static double number(napi_env env, napi_value object, const char *name) {
  double value = 0;
  napi_get_value_double(env, field(env, object, name), &value);
  return value;
}

static float *floats(napi_env env, napi_value array) {
  void *data = NULL;
  napi_get_typedarray_info(env, array, NULL, NULL, &data, NULL, NULL);
  return data;
}

static void free_contender(struct loaded *loaded) {
  if (loaded->contender) loaded->close(loaded->contender);
  loaded->contender = NULL;
}

static void finalize(napi_env env, void *data, void *hint) {
  free_contender(data);
  free(data);
}

/* open(library path, problem): a handle, or null if the contender has no such operation. */
static napi_value open_contender(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2], handle;
  char path[4096];
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  napi_get_value_string_utf8(env, arguments[0], path, sizeof path, NULL);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return fail(env, dlerror());
  napi_value p = arguments[1];
  struct problem problem = {
      .operation = number(env, p, "operation"), .rank = number(env, p, "rank"),
      .in = number(env, p, "inFeatures"),       .out = number(env, p, "outFeatures"),
      .rows = number(env, p, "rows"),           .adapters = number(env, p, "adapters"),
      .scaling = number(env, p, "scaling"),     .rate = number(env, p, "rate"),
      .lambda = number(env, p, "lambda"),       .decay = number(env, p, "decay"),
      .weights = floats(env, field(env, p, "weights")), .x = floats(env, field(env, p, "x")),
      .gradient = floats(env, field(env, p, "gradient")), .fisher = floats(env, field(env, p, "fisher")),
      .anchor = floats(env, field(env, p, "anchor")), .running = floats(env, field(env, p, "running"))};
  void *(*open)(const struct problem *) = dlsym(library, "contender_open");
  void *contender = open ? open(&problem) : NULL;
  if (!contender) {
    napi_get_null(env, &handle);
    return handle;
  }
  struct loaded *loaded = malloc(sizeof *loaded);
  loaded->contender = contender;
  loaded->run = dlsym(library, "contender_run");
  loaded->read = dlsym(library, "contender_read");
  loaded->close = dlsym(library, "contender_close");
  napi_create_external(env, loaded, finalize, NULL, &handle);
  return handle;
}

static struct loaded *handle_of(napi_env env, napi_value value) {
  void *loaded = NULL;
  napi_get_value_external(env, value, &loaded);
  return loaded;
}

/* run(handle, iterations): nanoseconds. */
static napi_value run(napi_env env, napi_callback_info info) {
  size_t count = 2;
  uint32_t iterations;
  napi_value arguments[2], result;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  napi_get_value_uint32(env, arguments[1], &iterations);
  struct loaded *loaded = handle_of(env, arguments[0]);
  napi_create_double(env, loaded->run(loaded->contender, iterations), &result);
  return result;
}

/* read(handle, y, weights): fills both Float32Arrays. */
static napi_value read(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value arguments[3];
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  struct loaded *loaded = handle_of(env, arguments[0]);
  loaded->read(loaded->contender, floats(env, arguments[1]), floats(env, arguments[2]));
  return NULL;
}

/* close(handle): frees the contender before the handle is collected. */
static napi_value close_contender(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value handle;
  napi_get_cb_info(env, info, &count, &handle, NULL, NULL);
  free_contender(handle_of(env, handle));
  return NULL;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"open", NULL, open_contender, NULL, NULL, NULL, napi_enumerable, NULL},
      {"run", NULL, run, NULL, NULL, NULL, napi_enumerable, NULL},
      {"read", NULL, read, NULL, NULL, NULL, napi_enumerable, NULL},
      {"close", NULL, close_contender, NULL, NULL, NULL, napi_enumerable, NULL}};
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
