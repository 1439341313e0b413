package atpn.core

/** An engine with a script instead of a network: the same outputs for every run. */
class FakeEngine(override val spec: ModelSpec, private val outputs: Map<String, FloatArray>) :
    InferenceEngine {
    val inputs = ArrayList<FloatArray>()
    var isClosed = false

    override fun run(input: FloatArray): Map<String, FloatArray> {
        inputs.add(input)
        return outputs
    }

    override fun close() {
        isClosed = true
    }

    companion object {
        fun specOf(side: Int, layout: Layout, vararg outputs: Pair<String, List<Int>>): ModelSpec {
            val nchw = layout == Layout.NCHW
            val shape = if (nchw) listOf(1, 3, side, side) else listOf(1, side, side, 3)
            return ModelSpec(
                "fake",
                InputSpec("image", shape, layout, side),
                outputs.map { (name, sizes) -> OutputSpec(name, sizes, "") }
            )
        }

        /** Sees a face in the middle of every region. */
        fun alignment(seen: AlignmentOutputs = circle(0.5, 0.5, 2.0 / 3.0, 1.0)): FakeEngine {
            val spec = specOf(
                16, Layout.NCHW,
                "landmarks" to listOf(1, NUM_LANDMARKS, 2),
                "pose" to listOf(1, 3),
                "presence" to listOf(1, 1)
            )
            val outputs = mapOf(
                "landmarks" to seen.landmarks, "pose" to seen.pose, "presence" to seen.presence
            )
            return FakeEngine(spec, outputs)
        }

        /** Finds one face in the middle of every picture. */
        fun detection(): FakeEngine {
            val spec = specOf(
                32, Layout.NCHW, "boxes" to listOf(1, 1, 4), "scores" to listOf(1, 1)
            )
            val box = floatArrayOf(0.3f, 0.3f, 0.7f, 0.7f)
            return FakeEngine(spec, mapOf("boxes" to box, "scores" to floatArrayOf(0.9f)))
        }
    }
}
