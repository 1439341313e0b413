// Times of the last frames, for the screen.

/// The middle of the last measurements; one slow frame does not change it.
public struct LatencyMeter: Sendable {
    private let capacity: Int
    private var values: [Double] = []  // the latest last

    /// - Parameter capacity: so many measurements count; from 1.
    public init(capacity: Int = 60) { self.capacity = max(1, capacity) }

    /// Take a measurement, milliseconds. What is not finite is left out.
    public mutating func add(_ milliseconds: Double) {
        guard milliseconds.isFinite else { return }
        values.append(milliseconds)
        values.removeFirst(max(0, values.count - capacity))
    }

    /// The median, milliseconds; nil before the first measurement.
    public var medianMs: Double? {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1
            ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}
