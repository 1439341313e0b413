/* Runs an ONNX model with ONNX Runtime's C API on one thread, marked for counting.
 *
 * onnx_driver MODEL INPUT OUTPUT RUNS
 *
 * INPUT holds any number of inputs as raw float32, OUTPUT gets the outputs of each, in the model's
 * order, as raw float32. The first input is then run RUNS times, each run marked with label 1.
 * Every input and output of the model must be float32 and of a fixed shape. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "marker.h"
#include "onnxruntime_c_api.h"

#define NETWORK_LABEL 1
#define WARM_UP_RUNS 3 /* the first runs plan and allocate memory */
#define MAX_OUTPUTS 16
#define MAX_DIMENSIONS 8

static const OrtApi *api;
static OrtAllocator *allocator;

static void fail(const char *message) {
  fprintf(stderr, "onnx_driver: %s\n", message);
  exit(1);
}

static void check(OrtStatus *status) {
  if (status) fail(api->GetErrorMessage(status));
}

struct tensor {
  char *name;
  OrtValue *value;
  float *data;
  size_t count;
};

/* Takes over `info`. */
static struct tensor make_tensor(char *name, OrtTypeInfo *info) {
  const OrtTensorTypeAndShapeInfo *shape_info;
  ONNXTensorElementDataType type;
  OrtMemoryInfo *memory;
  struct tensor tensor = {.name = name, .count = 1};
  int64_t shape[MAX_DIMENSIONS];
  size_t dimensions;

  check(api->CastTypeInfoToTensorInfo(info, &shape_info));
  if (!shape_info) fail("expected tensors as inputs and outputs");
  check(api->GetTensorElementType(shape_info, &type));
  if (type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) fail("expected float32 inputs and outputs");
  check(api->GetDimensionsCount(shape_info, &dimensions));
  if (dimensions > MAX_DIMENSIONS) fail("expected at most 8 dimensions");
  check(api->GetDimensions(shape_info, shape, dimensions));
  for (size_t i = 0; i < dimensions; i++) {
    if (shape[i] < 1) fail("expected inputs and outputs of fixed shapes");
    tensor.count *= (size_t)shape[i];
  }
  tensor.data = calloc(tensor.count, sizeof(float));
  if (!tensor.data) fail("no memory");
  check(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  check(api->CreateTensorWithDataAsOrtValue(memory, tensor.data, tensor.count * sizeof(float),
                                            shape, dimensions, type, &tensor.value));
  api->ReleaseMemoryInfo(memory);
  api->ReleaseTypeInfo(info);
  return tensor;
}

int main(int argc, char **argv) {
  OrtEnv *environment;
  OrtSessionOptions *options;
  OrtSession *session;
  OrtTypeInfo *info;
  char *name;
  size_t inputs, outputs;
  const char *output_names[MAX_OUTPUTS];
  OrtValue *output_values[MAX_OUTPUTS];
  struct tensor output[MAX_OUTPUTS];

  if (argc != 5) fail("expected MODEL INPUT OUTPUT RUNS");
  api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (!api) fail("the library does not know this version of its API");
  check(api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "onnx_driver", &environment));
  check(api->CreateSessionOptions(&options));
  check(api->SetIntraOpNumThreads(options, 1));
  check(api->SetInterOpNumThreads(options, 1));
  check(api->CreateSession(environment, argv[1], options, &session));
  check(api->GetAllocatorWithDefaultOptions(&allocator));
  check(api->SessionGetInputCount(session, &inputs));
  check(api->SessionGetOutputCount(session, &outputs));
  if (inputs != 1) fail("expected one input");
  if (outputs > MAX_OUTPUTS) fail("expected at most 16 outputs");
  check(api->SessionGetInputName(session, 0, allocator, &name));
  check(api->SessionGetInputTypeInfo(session, 0, &info));
  struct tensor input = make_tensor(name, info);
  for (size_t i = 0; i < outputs; i++) {
    check(api->SessionGetOutputName(session, i, allocator, &name));
    check(api->SessionGetOutputTypeInfo(session, i, &info));
    output[i] = make_tensor(name, info);
    output_names[i] = output[i].name;
    output_values[i] = output[i].value;
  }

  FILE *source = fopen(argv[2], "rb");
  FILE *target = fopen(argv[3], "wb");
  if (!source || !target) fail("cannot open INPUT or OUTPUT");
  const char *const input_names[] = {input.name};
  const OrtValue *const input_values[] = {input.value};
  while (fread(input.data, sizeof(float), input.count, source) == input.count) {
    check(api->Run(session, NULL, input_names, input_values, 1, output_names, outputs,
                   output_values));
    for (size_t i = 0; i < outputs; i++) {
      if (fwrite(output[i].data, sizeof(float), output[i].count, target) != output[i].count)
        fail("cannot write OUTPUT");
    }
  }
  if (fclose(target)) fail("cannot write OUTPUT");

  rewind(source);
  if (fread(input.data, sizeof(float), input.count, source) != input.count)
    fail("expected at least one whole input in INPUT");
  fclose(source);
  int runs = atoi(argv[4]);
  for (int run = 0; run < WARM_UP_RUNS + runs; run++) {
    syscall(MARKER_SYSCALL, 0);
    check(api->Run(session, NULL, input_names, input_values, 1, output_names, outputs,
                   output_values));
    syscall(MARKER_SYSCALL, run < WARM_UP_RUNS ? 0 : NETWORK_LABEL);
  }
  return 0;
}
