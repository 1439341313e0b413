package org.tensorflow.lite;

import java.nio.ByteBuffer;
import java.util.Map;

/**
 * For compiling alone: the signatures of LiteRT's interpreter that the demo calls, without code. The
 * engine itself is not in Debian. These classes are not put into the APK.
 */
public final class Interpreter implements AutoCloseable {
    public static class Options {
        public Options setNumThreads(int numThreads) {
            throw new UnsupportedOperationException();
        }
    }

    public Interpreter(ByteBuffer byteBuffer, Options options) {
        throw new UnsupportedOperationException();
    }

    public native String[] getSignatureKeys();

    public native String[] getSignatureInputs(String signatureKey);

    public native String[] getSignatureOutputs(String signatureKey);

    public native Tensor getInputTensorFromSignature(String inputName, String signatureKey);

    public native Tensor getOutputTensorFromSignature(String outputName, String signatureKey);

    public native void runSignature(
            Map<String, Object> inputs, Map<String, Object> outputs, String signatureKey);

    @Override
    public native void close();
}
