package atpn.live

/** The median of the last values: one slow frame does not move it. */
class RunningMedian(private val size: Int = 60) {
    private val values = ArrayList<Double>()
    private var next = 0

    init {
        require(size > 0) { "expected a size from 1, got $size" }
    }

    /** Take a value in, and give the median of the last ones. */
    fun add(value: Double): Double {
        if (values.size < size) {
            values.add(value)
        } else {
            values[next] = value
            next = (next + 1) % size
        }
        return values.sorted()[values.size / 2]
    }
}
