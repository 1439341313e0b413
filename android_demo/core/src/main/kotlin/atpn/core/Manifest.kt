/**
 * models/manifest.json: which models there are, what they take and give, and proof of their files.
 *
 * The reader is strict where it reads: a missing or mistyped field is an error that names it. What
 * an app does not need (metrics, parity, tools) it leaves alone.
 */

package atpn.core

import java.security.MessageDigest

const val SCHEMA_VERSION = 1

/** Order of a picture's axes: N batch, C channels, H rows, W columns. */
enum class Layout { NCHW, NHWC }

/**
 * The picture that a network takes: square, RGB, float32, values 0..255.
 *
 * @property shape (1, 3, S, S) or (1, S, S, 3), as `layout` says.
 * @property resolution pixels on a side.
 */
class InputSpec(val name: String, val shape: List<Int>, val layout: Layout, val resolution: Int)

/**
 * One result of a network.
 *
 * @property meaning what the numbers are, in words.
 */
class OutputSpec(val name: String, val shape: List<Int>, val meaning: String) {
    /** How many numbers it has. */
    val size: Int get() = shape.fold(1) { product, length -> product * length }
}

/** What an engine has to know of a network; [name] is for messages. */
class ModelSpec(val name: String, val input: InputSpec, val outputs: List<OutputSpec>)

/**
 * One file of a model.
 *
 * @property runtime the engine it is for: "onnx", "tflite", "coreml".
 * @property precision "float32", "float16", "int8", ...
 * @property path relative to the manifest.
 * @property input the file's own input where it differs from the model's.
 */
class Artifact(
    val runtime: String,
    val precision: String,
    val path: String,
    val sha256: String,
    val sizeBytes: Int,
    val input: InputSpec?
)

/**
 * One network in all its files.
 *
 * @property version of the weights.
 * @property task "alignment" or "detection".
 * @property parameters number of weights.
 * @property macs multiply-adds of one run.
 * @property license of the weights.
 */
class Model(
    val spec: ModelSpec,
    val version: String,
    val task: String,
    val parameters: Int,
    val macs: Int,
    val license: String,
    val artifacts: List<Artifact>
) {
    val name: String get() = spec.name
}

class Manifest(val models: List<Model>)

/** One file of a model, with what an engine has to know of it. */
class Choice(val artifact: Artifact, val spec: ModelSpec)

/**
 * Read a manifest.
 *
 * @param document the parsed JSON: objects as Map, lists as List, the rest as Number, String,
 *     Boolean and null. This package brings no JSON reader along: every platform has one.
 * @throws ManifestError it breaks the schema.
 */
fun readManifest(document: Any?): Manifest {
    val root = Fields(document, "the manifest")
    val version = root.integer("schema_version")
    if (version != SCHEMA_VERSION) {
        throw ManifestError(
            "expected schema_version $SCHEMA_VERSION in the manifest, got $version: " +
                "it was made for another release"
        )
    }
    val models = root.each("models", ::readModel)
    requireDistinct("models", models.map { it.name })
    return Manifest(models)
}

/**
 * Choose a file.
 *
 * @param model its name.
 * @throws ModelNotFoundError the manifest has none.
 */
fun chooseArtifact(manifest: Manifest, model: String, runtime: String, precision: String): Choice {
    val found = manifest.models.firstOrNull { it.name == model }
        ?: throw ModelNotFoundError(
            "expected a model out of ${manifest.models.joinToString { it.name }}, got $model"
        )
    val artifact =
        found.artifacts.firstOrNull { it.runtime == runtime && it.precision == precision }
    if (artifact == null) {
        val kinds = found.artifacts.joinToString { "${it.runtime} ${it.precision}" }
        throw ModelNotFoundError(
            "expected a file of model $model out of $kinds, got $runtime $precision"
        )
    }
    val spec = found.spec
    return Choice(artifact, ModelSpec(spec.name, artifact.input ?: spec.input, spec.outputs))
}

/**
 * Prove that a file is the one described.
 *
 * @throws ChecksumError its size or SHA-256 differs.
 */
fun verifyArtifact(artifact: Artifact, bytes: ByteArray) {
    val path = artifact.path
    if (bytes.size != artifact.sizeBytes) {
        throw ChecksumError("expected ${artifact.sizeBytes} bytes in $path, got ${bytes.size}")
    }
    val digest = MessageDigest.getInstance("SHA-256").digest(bytes)
        .joinToString("") { byte -> "%02x".format(byte) }
    if (digest != artifact.sha256) {
        throw ChecksumError("expected SHA-256 ${artifact.sha256} of $path, got $digest")
    }
}

private fun readModel(value: Any?, where: String): Model {
    val fields = Fields(value, where)
    val name = fields.text("name")
    val outputs = fields.each("outputs", ::readOutput)
    val artifacts = fields.each("artifacts", ::readArtifact)
    requireDistinct("$where.outputs", outputs.map { it.name })
    requireDistinct("$where.artifacts", artifacts.map { "${it.runtime} ${it.precision}" })
    return Model(
        ModelSpec(name, readInput(fields.take("input"), "$where.input"), outputs),
        fields.text("version"),
        fields.choice("task", listOf("alignment", "detection")),
        fields.integer("parameters"),
        fields.integer("macs"),
        fields.text("license"),
        artifacts
    )
}

private fun readInput(value: Any?, where: String): InputSpec {
    val fields = Fields(value, where)
    val name = fields.text("name")
    val shape = fields.shape("shape")
    val layout = Layout.valueOf(fields.choice("layout", Layout.values().map { it.name }))
    fields.choice("color", listOf("RGB"))
    fields.choice("dtype", listOf("float32"))
    val range = fields.take("range")
    if (wholeNumbers(range) != listOf(0, 255)) {
        // Normalisation is part of the graph, so that no caller can get it wrong.
        throw ManifestError("expected [0, 255] at $where.range, got ${show(range)}")
    }
    val side = if (shape.size == 4) shape[2] else 0
    val wanted = if (layout == Layout.NCHW) listOf(1, 3, side, side) else listOf(1, side, side, 3)
    if (shape != wanted) {
        val square = if (layout == Layout.NCHW) "[1, 3, S, S]" else "[1, S, S, 3]"
        throw ManifestError("expected $square for $layout at $where.shape, got $shape")
    }
    return InputSpec(name, shape, layout, side)
}

private fun readOutput(value: Any?, where: String): OutputSpec {
    val fields = Fields(value, where)
    return OutputSpec(fields.text("name"), fields.shape("shape"), fields.text("meaning"))
}

private fun readArtifact(value: Any?, where: String): Artifact {
    val fields = Fields(value, where)
    val artifact = Artifact(
        fields.text("runtime"),
        fields.text("precision"),
        fields.text("path"),
        fields.text("sha256"),
        fields.integer("bytes"),
        fields.optional("input")?.let { readInput(it, "$where.input") }
    )
    val path = artifact.path
    if (path.startsWith("/") || ".." in path.split("/") || path.any { it in "\\:" }) {
        throw ManifestError(
            "expected a relative path inside the manifest's folder at $where.path, got $path"
        )
    }
    if (!Regex("[0-9a-f]{64}").matches(artifact.sha256)) {
        throw ManifestError(
            "expected 64 lower-case hexadecimal digits at $where.sha256, got ${artifact.sha256}"
        )
    }
    return artifact
}

private fun requireDistinct(where: String, names: List<String>) {
    if (names.toSet().size != names.size) {
        throw ManifestError("expected each of $where once, got ${names.joinToString()}")
    }
}

/** Takes the fields of one JSON object. */
private class Fields(value: Any?, private val where: String) {
    private val fields: Map<*, *> = value as? Map<*, *>
        ?: throw ManifestError("expected an object as $where, got ${show(value)}")

    fun optional(key: String): Any? = fields[key]

    fun take(key: String): Any? {
        if (!fields.containsKey(key)) {
            throw ManifestError("expected the field $key in $where, it is missing")
        }
        return fields[key]
    }

    fun text(key: String): String {
        val value = take(key)
        if (value !is String || value == "") {
            throw wrong("a text", key, value)
        }
        return value
    }

    fun choice(key: String, choices: List<String>): String {
        val value = take(key)
        return choices.firstOrNull { it == value }
            ?: throw wrong(choices.joinToString(" or "), key, value)
    }

    fun integer(key: String): Int {
        val value = take(key)
        return wholeNumber(value) ?: throw wrong("a whole number from 0", key, value)
    }

    fun shape(key: String): List<Int> {
        val value = take(key)
        val sizes = wholeNumbers(value)
        if (sizes == null || sizes.isEmpty() || 0 in sizes) {
            throw wrong("a list of whole numbers from 1", key, value)
        }
        return sizes
    }

    fun <T> each(key: String, read: (Any?, String) -> T): List<T> {
        val value = take(key) as? List<*> ?: throw wrong("a list", key, take(key))
        return value.mapIndexed { index, item -> read(item, "$where: $key[$index]") }
    }

    private fun wrong(wanted: String, key: String, value: Any?): ManifestError =
        ManifestError("expected $wanted at $where.$key, got ${show(value)}")
}

/** A number from 0 that is whole, however the JSON reader holds it; null for anything else. */
private fun wholeNumber(value: Any?): Int? {
    val number = (value as? Number)?.toDouble() ?: return null
    return if (number >= 0.0 && number == Math.rint(number) && number <= Int.MAX_VALUE) {
        number.toInt()
    } else {
        null
    }
}

private fun wholeNumbers(value: Any?): List<Int>? {
    val numbers = (value as? List<*>)?.map { wholeNumber(it) } ?: return null
    return if (null in numbers) null else numbers.filterNotNull()
}

private fun show(value: Any?): String {
    val text = value?.toString() ?: "nothing"
    return if (text.length <= 80) text else text.take(77) + "..."
}
