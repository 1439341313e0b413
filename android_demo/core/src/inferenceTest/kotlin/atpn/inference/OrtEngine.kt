/** The project's ONNX files on the desktop JVM: the engine that the tests run for real. */

package atpn.inference

import atpn.core.InferenceEngine
import atpn.core.ModelMismatchError
import atpn.core.ModelSpec
import atpn.core.Repository
import atpn.core.chooseArtifact
import atpn.core.readManifest
import atpn.core.verifyArtifact
import atpn.json.parseJson
import java.io.File

/** See native/ort_session.c. */
internal object OrtLibrary {
    init {
        System.load(File(Repository.setting("atpn.shim")).absolutePath)
        start(Repository.setting("atpn.onnxruntime"))
    }

    private external fun start(path: String)

    external fun open(model: ByteArray): Long

    external fun close(session: Long)

    external fun run(
        session: Long,
        inputName: String,
        shape: LongArray,
        input: FloatArray,
        outputNames: Array<String>
    ): Array<FloatArray>
}

/** One network in one session of ONNX Runtime. */
class OrtEngine(override val spec: ModelSpec, model: ByteArray) : InferenceEngine {
    private val shape = LongArray(spec.input.shape.size) { spec.input.shape[it].toLong() }
    private val names = Array(spec.outputs.size) { spec.outputs[it].name }
    private var session = reported { OrtLibrary.open(model) }

    override fun run(input: FloatArray): Map<String, FloatArray> {
        check(session != 0L) { "expected an open engine, model ${spec.name} was closed" }
        val values = reported { OrtLibrary.run(session, spec.input.name, shape, input, names) }
        return names.indices.associate { names[it] to values[it] }
    }

    override fun close() {
        if (session != 0L) {
            OrtLibrary.close(session)
            session = 0L
        }
    }

    private fun <T> reported(call: () -> T): T = try {
        call()
    } catch (error: IllegalStateException) {
        throw ModelMismatchError("expected the model ${spec.name} to load and run: $error", error)
    }

    companion object {
        /**
         * One of the files in models/, verified.
         *
         * @param sha256 what the file has to be; null for any that the manifest describes.
         */
        fun load(model: String, precision: String, sha256: String? = null): OrtEngine {
            val document = parseJson(File(Repository.models, "manifest.json").readText())
            val choice = chooseArtifact(readManifest(document), model, "onnx", precision)
            val artifact = choice.artifact
            check(sha256 == null || sha256 == artifact.sha256) {
                "the golden vector is of other weights than ${artifact.path}: write it anew"
            }
            val bytes = File(Repository.models, artifact.path).readBytes()
            verifyArtifact(artifact, bytes)
            return OrtEngine(choice.spec, bytes)
        }
    }
}
