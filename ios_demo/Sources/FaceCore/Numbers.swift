// Rounding as Python does it, so that both languages take the same decisions.

/// The nearest whole number; a half goes to the even neighbour.
func roundHalfEven(_ value: Double) -> Double { value.rounded(.toNearestOrEven) }

/// The nearest whole number; a half goes up.
func roundHalfUp(_ value: Double) -> Double { (value + 0.5).rounded(.down) }
