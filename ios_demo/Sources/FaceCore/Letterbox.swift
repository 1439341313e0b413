// A whole frame in a square, for the detector. Pure functions.

/// Where a frame lies in a square.
public struct LetterboxLayout: Sendable, Equatable {
    /// Left column, top row, and the ones behind the last.
    public let left, top, right, bottom: Int
    /// The region of the frame that the square shows.
    public let roi: Roi
}

/// Where a frame lies in a square: its longer side fills it; centred, black bars.
///
/// - Parameters:
///   - width: of the frame, pixels.
///   - height: of the frame, pixels.
///   - resolution: pixels on a side of the square.
public func letterboxLayout(width: Int, height: Int, resolution: Int) throws -> LetterboxLayout {
    let longer = max(width, height)
    let newWidth = centeredLength(width, longer: longer, resolution: resolution)
    let newHeight = centeredLength(height, longer: longer, resolution: resolution)
    let left = (resolution - newWidth) / 2
    let top = (resolution - newHeight) / 2
    return LetterboxLayout(
        left: left, top: top, right: left + newWidth, bottom: top + newHeight,
        roi: try Roi(
            centerX: Double(width - 1) / 2, centerY: Double(height - 1) / 2, size: Double(longer)))
}

/// The whole frame as a square picture, and the region it shows.
///
/// - Parameters:
///   - resolution: pixels on a side of the square.
///   - rotation: clockwise turn that puts the frame upright.
public func letterbox(
    _ frame: Frame, resolution: Int, rotation: QuarterTurn = .none
) throws -> (picture: Frame, roi: Roi) {
    let layout = try letterboxLayout(
        width: frame.width, height: frame.height, resolution: resolution)
    let scaled = resize(
        frame, width: layout.right - layout.left, height: layout.bottom - layout.top)
    var square = Frame.blackBytes(side: resolution)
    let rowLength = 4 * (layout.right - layout.left)
    for row in layout.top..<layout.bottom {
        let from = (row - layout.top) * rowLength
        let to = 4 * (row * resolution + layout.left)
        square.replaceSubrange(to..<to + rowLength, with: scaled[from..<from + rowLength])
    }
    let picture = Frame(
        unchecked: turnClockwise(square, side: resolution, rotation: rotation),
        width: resolution, height: resolution, bytesPerRow: 4 * resolution, order: frame.order)
    let roi = try Roi(
        centerX: layout.roi.centerX, centerY: layout.roi.centerY, size: layout.roi.size,
        rotationRad: uprightRotation(rotation))
    return (picture, roi)
}

/// Scaled length, rounded so that the bars on both sides are equal: the centre stays exact.
private func centeredLength(_ length: Int, longer: Int, resolution: Int) -> Int {
    let side = Double(resolution)
    let bar = Int(roundHalfEven((side - Double(length) * side / Double(longer)) / 2))
    return max(resolution - 2 * bar, 2 - resolution % 2)
}

/// How much of which source pixels makes one pixel along an axis.
private struct Tap {
    let first: Int
    let weights: [Float]
}

/// Resize: averages where it shrinks, so that small faces do not alias; bilinear where it grows.
private func resize(_ frame: Frame, width: Int, height: Int) -> [UInt8] {
    let columns = taps(from: frame.width, to: width)
    let rows = taps(from: frame.height, to: height)
    var resized = [UInt8](repeating: 0, count: 4 * width * height)
    var line = [SIMD4<Float>](repeating: .zero, count: frame.width)
    frame.bytes.withUnsafeBufferPointer { source in
        for (row, tap) in rows.enumerated() {
            for column in line.indices { line[column] = .zero }
            for (offset, weight) in tap.weights.enumerated() {
                let from = (tap.first + offset) * frame.bytesPerRow
                for column in line.indices {
                    let pixel = from + 4 * column
                    let color = SIMD4<Float>(
                        Float(source[pixel]), Float(source[pixel + 1]), Float(source[pixel + 2]), 0)
                    line[column] += weight * color
                }
            }
            write(line, columns, to: &resized, at: 4 * row * width)
        }
    }
    return resized
}

/// Resize one line.
private func write(
    _ line: [SIMD4<Float>], _ columns: [Tap], to resized: inout [UInt8], at start: Int
) {
    var next = start
    for tap in columns {
        var sum = SIMD4<Float>(repeating: 0.5)  // what is stored is cut off, not rounded
        for (offset, weight) in tap.weights.enumerated() {
            sum += weight * line[tap.first + offset]
        }
        let color = SIMD4<Int32>(sum)
        for channel in 0..<3 {
            resized[next + channel] = UInt8(clamping: color[channel])
        }
        resized[next + 3] = 255
        next += 4
    }
}

private func taps(from length: Int, to count: Int) -> [Tap] {
    let scale = Double(length) / Double(count)
    return (0..<count).map { index in
        length > count
            ? areaTap(index, scale: scale, length: length)
            : linearTap(index, scale: scale, length: length)
    }
}

private func areaTap(_ index: Int, scale: Double, length: Int) -> Tap {
    let start = Double(index) * scale
    let end = min(start + scale, Double(length))
    let first = Int((start + 1e-9).rounded(.down))
    let last = max(first, Int((end - 1e-9).rounded(.up)) - 1)
    let weights = (first...last).map { pixel in
        Float((min(end, Double(pixel + 1)) - max(start, Double(pixel))) / scale)
    }
    return Tap(first: first, weights: weights)
}

private func linearTap(_ index: Int, scale: Double, length: Int) -> Tap {
    let place = min(Double(length - 1), max(0, (Double(index) + 0.5) * scale - 0.5))
    let first = Int(place)
    let share = Float(place - Double(first))
    return Tap(first: first, weights: share == 0 ? [1] : [1 - share, share])
}

/// Turn a square picture by quarter turns.
private func turnClockwise(_ square: [UInt8], side: Int, rotation: QuarterTurn) -> [UInt8] {
    guard rotation != .none else { return square }
    let last = side - 1
    var turned = square
    for row in 0..<side {
        for column in 0..<side {
            let (fromRow, fromColumn) =
                switch rotation {
                case .none: (row, column)
                case .right: (last - column, row)
                case .half: (last - row, last - column)
                case .left: (column, last - row)
                }
            let from = 4 * (fromRow * side + fromColumn)
            let to = 4 * (row * side + column)
            for channel in 0..<4 {
                turned[to + channel] = square[from + channel]
            }
        }
    }
    return turned
}
