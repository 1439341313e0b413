package org.tensorflow.lite;

/** For compiling alone: see README.md of the demo. */
public enum DataType {
    FLOAT32
}
