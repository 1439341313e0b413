// The one-euro filter for landmarks and head poses: calm at rest, quick in motion.
//
// Source: Casiez, Roussel, Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy
// Input in Interactive Systems", CHI 2012. Two differences: speed is in face sizes per second, so a
// near and a far face are smoothed alike; and it is the speed of the point, not of x and y apart.
// Head poses are filtered as rotations: angles jump where they wrap around.

private let minStepS = 1e-6  // two frames cannot be closer; a speed over less could overflow

/// The landmarks of one track; time is in seconds, so the frame rate may vary.
public struct OneEuroFilter: Sendable {
    private let config: SmoothingConfig
    private var points: [SIMD2<Double>] = []  // the last result
    private var velocity: [SIMD2<Double>] = []  // pixels / s, low-passed
    private var timestampS: Double?

    /// Start without history: the first points come back as they are.
    public init(config: SmoothingConfig) { self.config = config }

    /// Filter the next points. A timestamp that is not above the last one starts the filter anew,
    /// and the points come back as they are.
    ///
    /// - Parameters:
    ///   - landmarks: frame pixels.
    ///   - timestampS: when they were seen, seconds.
    ///   - faceSize: the unit of length, pixels, above 0.
    public mutating func smooth(
        _ landmarks: Landmarks, timestampS now: Double, faceSize: Double
    ) -> Landmarks {
        let stepS = now - (timestampS ?? .infinity)
        timestampS = now
        guard stepS >= minStepS, points.count == landmarks.count else {
            points = landmarks.map { SIMD2<Double>($0) }
            velocity = [SIMD2<Double>](repeating: .zero, count: landmarks.count)
            return landmarks
        }
        let follow = weight(cutoffHz: config.derivativeCutoffHz, stepS: stepS)
        for index in points.indices {
            let change: SIMD2<Double> = SIMD2<Double>(landmarks[index]) - points[index]
            let acceleration: SIMD2<Double> = change / stepS - velocity[index]
            velocity[index] += follow * acceleration
            let square: SIMD2<Double> = velocity[index] * velocity[index]
            let speed: Double = square.sum().squareRoot() / faceSize
            let cutoffHz: Double = config.minCutoffHz + config.beta * speed
            points[index] += weight(cutoffHz: cutoffHz, stepS: stepS) * change
        }
        return points.map { SIMD2<Float>($0) }
    }
}

/// The same for the rotation of one head; its speed is the angle of the turn per second.
public struct RotationFilter: Sendable {
    private let config: SmoothingConfig
    private var rotation = Rotation.identity  // the last result
    private var velocity = SIMD3<Double>.zero  // axis times radians / s, low-passed
    private var timestampS: Double?

    /// Start without history: the first rotation comes back as it is.
    public init(config: SmoothingConfig) { self.config = config }

    /// Filter the next rotation. A timestamp that is not above the last one starts the filter anew.
    ///
    /// - Parameter timestampS: when it was seen, seconds.
    public mutating func smooth(_ next: Rotation, timestampS now: Double) -> Rotation {
        let stepS = now - (timestampS ?? .infinity)
        timestampS = now
        guard stepS >= minStepS else {
            rotation = next
            velocity = .zero
            return next
        }
        let change = vectorFromRotation(next * rotation.transposed)
        let follow = weight(cutoffHz: config.derivativeCutoffHz, stepS: stepS)
        let acceleration: SIMD3<Double> = change / stepS - velocity
        velocity += follow * acceleration
        let cutoffHz = config.poseMinCutoffHz + config.poseBeta * length(velocity)
        let part = weight(cutoffHz: cutoffHz, stepS: stepS)
        rotation = rotationFromVector(part * change) * rotation
        return rotation
    }
}

/// Share of the new value in a first-order low-pass: 1 / (1 + tau / step).
private func weight(cutoffHz: Double, stepS: Double) -> Double {
    let tauS = 1 / (2 * Double.pi * cutoffHz)
    return 1 / (1 + tauS / stepS)
}
