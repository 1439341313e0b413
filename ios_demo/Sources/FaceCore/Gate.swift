// The presence gate: the network's own confidence decides whether a face is still there.

/// Whether a face is kept: presence at or above the threshold; never for NaN. Compared in `Float`,
/// the network's precision.
public func passesGate(presence: Double, threshold: Double) -> Bool {
    Float(presence) >= Float(threshold)
}
