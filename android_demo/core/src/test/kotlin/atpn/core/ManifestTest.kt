package atpn.core

import atpn.json.parseJson
import java.io.File
import org.json.JSONException
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** The reader of models/manifest.json: reads the real one, names what is wrong with others. */
class ManifestTest {
    private val text = File(Repository.models, "manifest.json").readText()
    private val manifest = readManifest(parseJson(text))

    @Test
    fun `reads the project's own`() {
        val choice = chooseArtifact(manifest, "atpn", "onnx", "float32")
        val side = choice.spec.input.resolution
        assertTrue(choice.artifact.path.endsWith(".onnx"))
        assertEquals(listOf(1, 3, side, side), choice.spec.input.shape)
        assertEquals(listOf("landmarks", "pose", "presence"), choice.spec.outputs.map { it.name })
        assertEquals(2 * NUM_LANDMARKS, choice.spec.outputs[0].size)
    }

    @Test
    fun `the input of a file of its own layout comes with it, for every file of the app`() {
        for (model in listOf("atpn", "detector")) {
            for (precision in listOf("float16", "int8")) {
                val choice = chooseArtifact(manifest, model, "tflite", precision)
                assertEquals(Layout.NHWC, choice.spec.input.layout)
                val file = File(Repository.models, choice.artifact.path)
                verifyArtifact(choice.artifact, file.readBytes())
            }
        }
    }

    @Test
    fun `names the place and what is wrong there`() {
        val input = listOf("models", 0, "input")
        val file = listOf("models", 0, "artifacts", 0)
        val cases = listOf(
            Triple(listOf("schema_version"), 9, "expected schema_version 1 in the manifest, got 9"),
            Triple(listOf("schema_version"), 1.5, "expected a whole number from 0"),
            Triple(listOf("models"), Missing, "expected the field models in the manifest"),
            Triple(listOf("models"), 3, "expected a list at the manifest.models, got 3"),
            Triple(listOf("models", 0, "name"), "", "expected a text at the manifest: models[0]"),
            Triple(listOf("models", 1, "name"), "atpn", "expected each of models once"),
            Triple(input + "range", listOf(0, 1), "expected [0, 255] at the manifest: models[0]"),
            Triple(input + "shape", listOf(1, 3, 9, 8), "expected [1, 3, S, S] for NCHW"),
            Triple(input + "layout", "CHW", "expected NCHW or NHWC"),
            Triple(input, null, "expected an object as the manifest: models[0].input, got nothing"),
            Triple(file + "path", "../secret", "expected a relative path inside the manifest's"),
            Triple(file + "path", "/etc/passwd", "expected a relative path inside the manifest's"),
            Triple(file + "sha256", "ABC", "expected 64 lower-case hexadecimal digits"),
            Triple(file + "bytes", -1, "expected a whole number from 0")
        )
        for ((path, value, message) in cases) {
            val error = assertThrows("$path", ManifestError::class.java) {
                readManifest(changed(parseJson(text), path, value))
            }
            assertTrue("$path: ${error.message}", error.message!!.startsWith(message))
        }
    }

    @Test
    fun `names what there is where a file is not there`() {
        val none = assertThrows(ModelNotFoundError::class.java) {
            chooseArtifact(manifest, "nose", "onnx", "float32")
        }
        assertEquals("expected a model out of atpn, detector, got nose", none.message)
        val kind = assertThrows(ModelNotFoundError::class.java) {
            chooseArtifact(manifest, "atpn", "onnx", "float8")
        }
        assertTrue(kind.message!!.endsWith("got onnx float8"))
    }

    @Test
    fun `refuses a file of another size or content`() {
        val artifact = chooseArtifact(manifest, "detector", "onnx", "int8").artifact
        val bytes = File(Repository.models, artifact.path).readBytes()
        verifyArtifact(artifact, bytes)
        bytes[bytes.size / 2] = (bytes[bytes.size / 2] + 1).toByte()
        assertThrows(ChecksumError::class.java) { verifyArtifact(artifact, bytes) }
        val error = assertThrows(ChecksumError::class.java) {
            verifyArtifact(artifact, bytes.copyOf(bytes.size - 1))
        }
        assertTrue(error.message!!.startsWith("expected ${artifact.sizeBytes} bytes in "))
    }

    @Test
    fun `JSON becomes plain values, and only one of them`() {
        val document = parseJson("""{"a": [1, 2.5, "x", true, null, {}]}""")
        val items = listOf(1, 2.5, "x", true, null, emptyMap<String, Any>())
        assertEquals(mapOf("a" to items), document)
        for (wrong in listOf("", "{", "{} {}", """{"a": }""")) {
            assertThrows(wrong, JSONException::class.java) { parseJson(wrong) }
        }
    }

    private object Missing

    /** The document with another value in one place. */
    private fun changed(document: Any?, path: List<Any>, value: Any?): Any? {
        if (path.isEmpty()) {
            return value
        }
        val rest = path.drop(1)
        if (document is List<*>) {
            return document.mapIndexed { index, one ->
                if (index == path[0]) changed(one, rest, value) else one
            }
        }
        val fields = fieldsOf(document)
        val key = path[0].toString()
        val next = changed(fields[key], rest, value)
        return if (next === Missing) fields - key else fields + (key to next)
    }
}
