package atpn.shared

import atpn.core.AtpnError
import atpn.core.EngineUnavailableError
import atpn.core.InferenceEngine
import atpn.core.ModelMismatchError
import atpn.core.ModelSpec
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.Tensor

private const val FLOAT_BYTES = 4

/** Numbers on their way into or out of the engine. */
private class Buffer(size: Int) {
    val bytes: ByteBuffer =
        ByteBuffer.allocateDirect(FLOAT_BYTES * size).order(ByteOrder.nativeOrder())
    val floats: FloatBuffer = bytes.asFloatBuffer()
    val values = FloatArray(size)
}

/**
 * One network in LiteRT's interpreter, on the CPU. The outputs come in the same arrays each time.
 */
class LiteRtEngine private constructor(
    override val spec: ModelSpec,
    private val interpreter: Interpreter
) : InferenceEngine {
    private val signature = interpreter.signatureKeys.singleOrNull()
        ?: throw ModelMismatchError(
            "expected one signature in model ${spec.name}, got ${interpreter.signatureKeys.size}"
        )
    private val input: Buffer
    private val outputs: Map<String, Buffer>

    init {
        val inputNames = interpreter.getSignatureInputs(signature).toSet()
        val outputNames = interpreter.getSignatureOutputs(signature).toSet()
        val declared = spec.outputs.map { it.name }.toSet()
        if (inputNames != setOf(spec.input.name) || outputNames != declared) {
            throw ModelMismatchError(
                "expected ${spec.input.name} -> $declared in model ${spec.name}, " +
                    "got $inputNames -> $outputNames"
            )
        }
        val image = interpreter.getInputTensorFromSignature(spec.input.name, signature)
        input = bufferOf(spec.input.name, image, spec.input.shape)
        outputs = spec.outputs.associate { output ->
            val tensor = interpreter.getOutputTensorFromSignature(output.name, signature)
            output.name to bufferOf(output.name, tensor, output.shape)
        }
    }

    private fun bufferOf(name: String, tensor: Tensor, shape: List<Int>): Buffer {
        val got = tensor.shape().toList()
        if (got != shape || tensor.dataType() != DataType.FLOAT32) {
            throw ModelMismatchError(
                "expected $name of model ${spec.name} to be FLOAT32 $shape, " +
                    "got ${tensor.dataType()} $got"
            )
        }
        return Buffer(shape.fold(1) { product, length -> product * length })
    }

    override fun run(input: FloatArray): Map<String, FloatArray> {
        if (input.size != this.input.values.size) {
            throw ModelMismatchError(
                "expected ${this.input.values.size} numbers for model ${spec.name}, " +
                    "got ${input.size}"
            )
        }
        this.input.floats.rewind()
        this.input.floats.put(input)
        this.input.bytes.rewind()
        for (output in outputs.values) {
            output.bytes.rewind()
        }
        val given = mapOf<String, Any>(spec.input.name to this.input.bytes)
        val wanted = HashMap<String, Any>()
        outputs.forEach { (name, output) -> wanted[name] = output.bytes }
        try {
            interpreter.runSignature(given, wanted, signature)
        } catch (error: RuntimeException) { // IllegalArgument-, IllegalStateException
            throw AtpnError("expected model ${spec.name} to run, LiteRT failed: $error", error)
        }
        return outputs.mapValues { (_, output) ->
            output.floats.rewind()
            output.floats.get(output.values)
            output.values
        }
    }

    override fun close() = interpreter.close()

    /**
     * Makes engines of .tflite files.
     *
     * @param numThreads of an engine, from 1; more than one pays only for larger networks than
     *     these.
     */
    class Factory(private val numThreads: Int = 1) : EngineFactory {
        override fun create(spec: ModelSpec, model: ByteArray): InferenceEngine {
            val bytes = ByteBuffer.allocateDirect(model.size).order(ByteOrder.nativeOrder())
            bytes.put(model)
            bytes.rewind()
            val interpreter = try {
                Interpreter(bytes, Interpreter.Options().setNumThreads(numThreads))
            } catch (error: LinkageError) {
                throw EngineUnavailableError(
                    "expected LiteRT in this app, it is not: $error", error
                )
            } catch (error: RuntimeException) {
                throw ModelMismatchError(
                    "expected a TFLite model ${spec.name}, LiteRT cannot load it: $error", error
                )
            }
            try {
                return LiteRtEngine(spec, interpreter)
            } catch (error: AtpnError) {
                interpreter.close()
                throw error
            }
        }
    }
}
