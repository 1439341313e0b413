/** Typed access to the fields of golden vectors; what is of another type ends the test. */

package atpn.core

fun numberOf(value: Any?): Double =
    (value as? Number ?: throw AssertionError("expected a number, got $value")).toDouble()

fun intOf(value: Any?): Int {
    val number = numberOf(value)
    check(number == Math.rint(number)) { "expected a whole number, got $number" }
    return number.toInt()
}

fun textOf(value: Any?): String =
    value as? String ?: throw AssertionError("expected a text, got $value")

fun itemsOf(value: Any?): List<Any?> =
    value as? List<*> ?: throw AssertionError("expected a list, got $value")

fun fieldsOf(value: Any?): Fields =
    (value as? Map<*, *> ?: throw AssertionError("expected an object, got $value"))
        .map { (key, one) -> textOf(key) to one }
        .toMap()

fun numbersOf(value: Any?): List<Double> = itemsOf(value).map { numberOf(it) }

/** Nested lists of numbers, flat. */
fun flatOf(value: Any?): FloatArray {
    val numbers = ArrayList<Float>()
    fun add(one: Any?) {
        if (one is List<*>) one.forEach { add(it) } else numbers.add(numberOf(one).toFloat())
    }
    itemsOf(value).forEach { add(it) }
    return numbers.toFloatArray()
}

fun boxesOf(value: Any?): List<Box> = itemsOf(value).map {
    val (left, top, right, bottom) = numbersOf(it)
    Box(left, top, right, bottom)
}

fun roiOf(value: Any?): Roi {
    val fields = fieldsOf(value)
    return Roi(
        numberOf(fields["center_x"]),
        numberOf(fields["center_y"]),
        numberOf(fields["size"]),
        numberOf(fields["rotation_rad"])
    )
}

fun rotationOf(value: Any?): Rotation =
    itemsOf(value).flatMap { numbersOf(it) }.toDoubleArray()

/** A picture of lists of (red, green, blue) as RGBA, with room behind each row as cameras leave. */
fun frameOf(value: Any?): Frame {
    val rows = itemsOf(value).map { itemsOf(it) }
    val width = rows[0].size
    val rowBytes = 4 * width + 12
    val rgba = ByteArray(rowBytes * rows.size) { 77 }
    rows.forEachIndexed { row, pixels ->
        pixels.forEachIndexed { column, pixel ->
            numbersOf(pixel).forEachIndexed { channel, number ->
                rgba[row * rowBytes + 4 * column + channel] = number.toInt().toByte()
            }
        }
    }
    return Frame(width, rows.size, rgba, rowBytes)
}

fun outputsOf(value: Any?): AlignmentOutputs {
    val fields = fieldsOf(value)
    return AlignmentOutputs(
        flatOf(fields["landmarks"]), flatOf(fields["pose"]), flatOf(fields["presence"])
    )
}

fun fieldsOfRoi(roi: Roi): Fields = mapOf(
    "center_x" to roi.centerX,
    "center_y" to roi.centerY,
    "size" to roi.size,
    "rotation_rad" to roi.rotationRad
)

fun listOfBox(box: Box): List<Double> = listOf(box.left, box.top, box.right, box.bottom)

/** A flat list as rows of [length]. */
fun rows(values: List<Number>, length: Int): List<List<Number>> = values.chunked(length)

fun rows(values: FloatArray, length: Int): List<List<Number>> = rows(values.toList(), length)

fun rows(values: DoubleArray, length: Int): List<List<Number>> = rows(values.toList(), length)
