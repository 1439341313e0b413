/* ONNX Runtime for the desktop JVM: the part of its C API that atpn.inference.OrtEngine calls.
 *
 * For tests on a computer. The engine of the wheel is opened at run time, so that nothing has to be
 * linked; its C API keeps its order from version to version, and is asked for by the header's.
 */

#include <dlfcn.h>
#include <jni.h>
#include <stdlib.h>
#include <string.h>

#include "onnxruntime_c_api.h"

static const OrtApi *ort = NULL;
static OrtEnv *environment = NULL;

static void throw_error(JNIEnv *jni, const char *message) {
    jclass kind = (*jni)->FindClass(jni, "java/lang/IllegalStateException");
    if (kind != NULL) (*jni)->ThrowNew(jni, kind, message);
}

/* 1 where a call failed: there is a Java exception then. */
static int failed(JNIEnv *jni, OrtStatus *status) {
    if (status == NULL) return 0;
    throw_error(jni, ort->GetErrorMessage(status));
    ort->ReleaseStatus(status);
    return 1;
}

JNIEXPORT void JNICALL Java_atpn_inference_OrtLibrary_start(JNIEnv *jni, jobject self, jstring path) {
    (void)self;
    if (ort != NULL) return;
    const char *name = (*jni)->GetStringUTFChars(jni, path, NULL);
    if (name == NULL) return;
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    (*jni)->ReleaseStringUTFChars(jni, path, name);
    const char *problem = library == NULL ? dlerror() : NULL;
    const OrtApiBase *(*base)(void) = NULL;
    if (library != NULL) *(void **)&base = dlsym(library, "OrtGetApiBase");
    if (base == NULL) {
        throw_error(jni, problem != NULL ? problem : "expected OrtGetApiBase in the library");
        return;
    }
    const OrtApi *api = base()->GetApi(ORT_API_VERSION);
    if (api == NULL) {
        throw_error(jni, "expected an ONNX Runtime not older than the header of this build");
        return;
    }
    ort = api;
    if (failed(jni, ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "atpn", &environment))) ort = NULL;
}

JNIEXPORT jlong JNICALL Java_atpn_inference_OrtLibrary_open(JNIEnv *jni, jobject self,
                                                            jbyteArray model) {
    (void)self;
    OrtSessionOptions *options = NULL;
    OrtSession *session = NULL;
    if (failed(jni, ort->CreateSessionOptions(&options))) return 0;
    jbyte *bytes = (*jni)->GetByteArrayElements(jni, model, NULL);
    if (bytes != NULL && !failed(jni, ort->SetIntraOpNumThreads(options, 1))) {
        size_t size = (size_t)(*jni)->GetArrayLength(jni, model);
        failed(jni, ort->CreateSessionFromArray(environment, bytes, size, options, &session));
    }
    if (bytes != NULL) (*jni)->ReleaseByteArrayElements(jni, model, bytes, JNI_ABORT);
    ort->ReleaseSessionOptions(options);
    return (jlong)(intptr_t)session;
}

JNIEXPORT void JNICALL Java_atpn_inference_OrtLibrary_close(JNIEnv *jni, jobject self,
                                                            jlong session) {
    (void)jni;
    (void)self;
    ort->ReleaseSession((OrtSession *)(intptr_t)session);
}

/* The numbers of a tensor as a Java array; NULL with an exception where it is not of float32. */
static jfloatArray floats_of(JNIEnv *jni, OrtValue *value) {
    OrtTensorTypeAndShapeInfo *info = NULL;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t count = 0;
    float *numbers = NULL;
    if (failed(jni, ort->GetTensorTypeAndShape(value, &info))) return NULL;
    int bad = failed(jni, ort->GetTensorElementType(info, &type)) ||
              failed(jni, ort->GetTensorShapeElementCount(info, &count)) ||
              failed(jni, ort->GetTensorMutableData(value, (void **)&numbers));
    ort->ReleaseTensorTypeAndShapeInfo(info);
    if (bad) return NULL;
    if (type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
        throw_error(jni, "expected an output of float32");
        return NULL;
    }
    jfloatArray array = (*jni)->NewFloatArray(jni, (jsize)count);
    if (array != NULL) (*jni)->SetFloatArrayRegion(jni, array, 0, (jsize)count, numbers);
    return array;
}

/* Run with one input; names are C strings, the outputs come back in the order of their names. */
static jobjectArray run_session(JNIEnv *jni, OrtSession *session, const char *input_name,
                                OrtValue *input, const char **names, size_t count) {
    OrtValue **outputs = calloc(count, sizeof *outputs);
    jclass kind = (*jni)->FindClass(jni, "[F");
    jobjectArray results =
        outputs == NULL || kind == NULL ? NULL : (*jni)->NewObjectArray(jni, (jsize)count, kind, NULL);
    if (results != NULL && failed(jni, ort->Run(session, NULL, &input_name,
                                                (const OrtValue *const *)&input, 1, names, count,
                                                outputs))) {
        results = NULL;
    }
    for (size_t index = 0; results != NULL && index < count; index++) {
        jfloatArray values = floats_of(jni, outputs[index]);
        if (values == NULL) {
            results = NULL;
        } else {
            (*jni)->SetObjectArrayElement(jni, results, (jsize)index, values);
        }
    }
    for (size_t index = 0; outputs != NULL && index < count; index++) {
        if (outputs[index] != NULL) ort->ReleaseValue(outputs[index]);
    }
    free(outputs);
    return results;
}

JNIEXPORT jobjectArray JNICALL Java_atpn_inference_OrtLibrary_run(
    JNIEnv *jni, jobject self, jlong session, jstring input_name, jlongArray shape,
    jfloatArray numbers, jobjectArray output_names) {
    (void)self;
    jsize count = (*jni)->GetArrayLength(jni, output_names);
    const char **names = calloc((size_t)count, sizeof *names);
    jstring *strings = calloc((size_t)count, sizeof *strings);
    const char *name = (*jni)->GetStringUTFChars(jni, input_name, NULL);
    jfloat *data = (*jni)->GetFloatArrayElements(jni, numbers, NULL);
    jlong *sizes = (*jni)->GetLongArrayElements(jni, shape, NULL);
    int ready = names != NULL && strings != NULL && name != NULL && data != NULL && sizes != NULL;
    for (jsize index = 0; ready && index < count; index++) {
        strings[index] = (jstring)(*jni)->GetObjectArrayElement(jni, output_names, index);
        names[index] = (*jni)->GetStringUTFChars(jni, strings[index], NULL);
        ready = names[index] != NULL;
    }

    jobjectArray results = NULL;
    OrtMemoryInfo *memory = NULL;
    OrtValue *input = NULL;
    if (ready &&
        !failed(jni, ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory)) &&
        !failed(jni, ort->CreateTensorWithDataAsOrtValue(
                         memory, data, sizeof(float) * (size_t)(*jni)->GetArrayLength(jni, numbers),
                         (const int64_t *)sizes, (size_t)(*jni)->GetArrayLength(jni, shape),
                         ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input))) {
        OrtSession *handle = (OrtSession *)(intptr_t)session;
        results = run_session(jni, handle, name, input, names, (size_t)count);
    }

    if (input != NULL) ort->ReleaseValue(input);
    if (memory != NULL) ort->ReleaseMemoryInfo(memory);
    for (jsize index = 0; names != NULL && strings != NULL && index < count; index++) {
        if (names[index] != NULL) (*jni)->ReleaseStringUTFChars(jni, strings[index], names[index]);
    }
    if (sizes != NULL) (*jni)->ReleaseLongArrayElements(jni, shape, sizes, JNI_ABORT);
    if (data != NULL) (*jni)->ReleaseFloatArrayElements(jni, numbers, data, JNI_ABORT);
    if (name != NULL) (*jni)->ReleaseStringUTFChars(jni, input_name, name);
    free(strings);
    free(names);
    return results;
}
