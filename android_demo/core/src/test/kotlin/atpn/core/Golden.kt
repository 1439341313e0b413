/** Golden vectors: reads the cases that the Python runtime wrote, and compares as it does. */

package atpn.core

import atpn.json.parseJson
import java.io.File
import kotlin.math.abs
import kotlin.math.max

/** What JSON calls an object. */
typealias Fields = Map<String, Any?>

/**
 * One golden vector.
 *
 * @property inputs what the stage is given.
 * @property expected what it must give.
 * @property tolerance largest absolute difference, by field of `expected`.
 */
class GoldenCase(
    val stage: String,
    val name: String,
    val inputs: Fields,
    val expected: Fields,
    val tolerance: Map<String, Double>
) {
    override fun toString(): String = "$stage/$name"

    /** The first place where something else than `expected` came; null where there is none. */
    fun firstDifference(got: Fields): String? {
        for ((field, wanted) in expected) {
            val found = firstDifference(got[field], wanted, tolerance.getValue(field), field)
            if (found != null) {
                return "$this: $found"
            }
        }
        return null
    }
}

/** The names of the stages. */
fun stagesOf(folder: File): List<String> =
    folder.listFiles().orEmpty().filter { it.isDirectory }.map { it.name }.sorted()

/**
 * The cases of a stage.
 *
 * @throws IllegalStateException there is none, or a file is not in the format.
 */
fun casesOf(folder: File, stage: String): List<GoldenCase> {
    val files = File(folder, stage).listFiles().orEmpty().filter { it.extension == "json" }
    check(files.isNotEmpty()) { "expected golden cases in $stage, found none" }
    return files.sortedBy { it.name }.map { readCase(it, stage) }
}

private fun readCase(file: File, stage: String): GoldenCase {
    val document = parseJson(file.readText()) as? Map<*, *>
    val wanted = setOf("inputs", "expected", "tolerance")
    check(document != null && document.keys == wanted && document.values.all { it is Map<*, *> }) {
        "expected the objects ${wanted.joinToString()} in $file"
    }
    val expected = fieldsOf(document["expected"])
    val tolerance = fieldsOf(document["tolerance"]).mapValues { numberOf(it.value) }
    check(expected.isNotEmpty() && expected.keys == tolerance.keys) {
        "expected a tolerance for each of ${expected.keys} in $file, got ${tolerance.keys}"
    }
    return GoldenCase(
        stage, file.nameWithoutExtension, fieldsOf(document["inputs"]), expected, tolerance
    )
}

/**
 * Numbers within the tolerance, everything else equal; the same structure.
 *
 * @return the first place that differs, null where none does.
 */
fun firstDifference(got: Any?, expected: Any?, tolerance: Double, where: String): String? =
    when (expected) {
        is Number -> {
            val reach = max(tolerance, 1e-7 * abs(expected.toDouble()))
            // NaN compares false
            val close = got is Number && abs(got.toDouble() - expected.toDouble()) <= reach
            if (close) null else "$where: expected $expected within $reach, got $got"
        }
        is List<*> -> firstOfList(got, expected, tolerance, where)
        is Map<*, *> -> firstOfMap(got, expected, tolerance, where)
        else -> if (got == expected) null else "$where: expected $expected, got $got"
    }

private fun firstOfList(got: Any?, expected: List<*>, tolerance: Double, where: String): String? {
    if (got !is List<*> || got.size != expected.size) {
        val size = (got as? List<*>)?.size ?: "no list"
        return "$where: expected a list of ${expected.size}, got $size"
    }
    return expected.indices.asSequence()
        .mapNotNull { firstDifference(got[it], expected[it], tolerance, "$where[$it]") }
        .firstOrNull()
}

private fun firstOfMap(got: Any?, expected: Map<*, *>, tolerance: Double, where: String): String? {
    if (got !is Map<*, *> || got.keys != expected.keys) {
        return "$where: expected the fields ${expected.keys}, got ${(got as? Map<*, *>)?.keys}"
    }
    return expected.keys.asSequence()
        .mapNotNull { firstDifference(got[it], expected[it], tolerance, "$where.$it") }
        .firstOrNull()
}
