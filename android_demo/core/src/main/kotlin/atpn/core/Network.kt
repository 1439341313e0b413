/** Engines and networks: what an app plugs in. */

package atpn.core

import java.io.Closeable

/** One network in an inference engine: a thin wrapper that the app writes. Used by one thread. */
interface InferenceEngine : Closeable {
    /** What the manifest says about the network. */
    val spec: ModelSpec

    /**
     * Run the network once.
     *
     * @param input of `spec.input.shape`.
     * @return the outputs of `spec.outputs` by name, each flat. They may be overwritten by the next
     *     run.
     * @throws AtpnError the engine failed.
     */
    fun run(input: FloatArray): Map<String, FloatArray>
}

/**
 * What the alignment network says of one region.
 *
 * @property landmarks x and y of each landmark, crop units.
 * @property pose yaw, pitch, roll, radians.
 * @property presence the probability of a face, last.
 * @property cropMs how long making the crop took, milliseconds.
 */
class AlignmentOutputs(
    val landmarks: FloatArray,
    val pose: FloatArray,
    val presence: FloatArray,
    val cropMs: Double = 0.0
)

/** Looks for a face in a region of a frame. */
interface AlignmentNetwork {
    /** @param mirrored the network is to see the mirror image of the region. */
    fun run(frame: Frame, roi: Roi, mirrored: Boolean): AlignmentOutputs
}

/**
 * The project's alignment network on the crop of a region.
 *
 * @param engine runs the network; stays the caller's to close.
 * @throws ModelMismatchError the network has no landmarks, pose and presence.
 */
class CropNetwork(private val engine: InferenceEngine) : AlignmentNetwork {
    init {
        requireOutputs(engine.spec, listOf("landmarks", "pose", "presence"))
    }

    override fun run(frame: Frame, roi: Roi, mirrored: Boolean): AlignmentOutputs {
        val startNs = System.nanoTime()
        val tensor = cropTensor(frame, roi, engine.spec.input, mirrored)
        val cropMs = (System.nanoTime() - startNs) / 1e6
        val outputs = engine.run(tensor)
        return AlignmentOutputs(
            outputOf(outputs, "landmarks", engine.spec),
            outputOf(outputs, "pose", engine.spec),
            outputOf(outputs, "presence", engine.spec),
            cropMs
        )
    }
}

/**
 * Check that a network's manifest entry declares outputs.
 *
 * @throws ModelMismatchError one is missing.
 */
internal fun requireOutputs(spec: ModelSpec, names: List<String>) {
    val declared = spec.outputs.map { it.name }
    if (!declared.containsAll(names)) {
        throw ModelMismatchError(
            "expected outputs ${names.joinToString()} of model ${spec.name}, " +
                "got ${declared.joinToString()}"
        )
    }
}

/**
 * One output of a run, its size checked.
 *
 * @throws ModelMismatchError it is missing or not of the declared size.
 */
internal fun outputOf(outputs: Map<String, FloatArray>, name: String, spec: ModelSpec): FloatArray {
    val values = outputs[name]
    val size = spec.outputs.first { it.name == name }.size
    if (values == null || values.size != size) {
        throw ModelMismatchError(
            "expected $size numbers for output $name of model ${spec.name}, " +
                "got ${values?.size ?: "none"}"
        )
    }
    return values
}
