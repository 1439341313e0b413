package org.tensorflow.lite;

/** For compiling alone: see README.md of the demo. */
public interface Tensor {
    DataType dataType();

    int[] shape();
}
