// Finding faces in a whole frame.

// Of a tile, shared with the next one: more than the small faces it is for.
private let tileOverlap = 0.25
// Pixels: smaller tiles show no face better, and a thin frame would have thousands.
private let minTile = 32
// Of a tile: a box that comes so near to an inner edge is a part of a face.
private let border = 0.02

/// Finds faces; an app can bring its own.
public protocol Detector {
    /// The faces of a frame, best first; empty when there is none.
    func detect(_ frame: Frame) throws -> [Detection]
}

/// A part of a frame, pixels: the first column and row, and those behind the last.
public struct Tile: Sendable, Equatable {
    public let left, top, right, bottom: Int
}

/// The project's own detector: one network on the letterboxed frame, and on tiles of it.
public struct NetworkDetector: Detector {
    private let backend: any Backend
    private let config: DetectorConfig

    /// - Throws: ``AtpnError/modelMismatch(_:)`` when the network has no boxes and scores,
    ///   ``AtpnError/config(_:)`` when an option is outside its range.
    public init(backend: any Backend, config: DetectorConfig = DetectorConfig()) throws {
        try requireOutputs(backend.spec, ["boxes", "scores"])
        try config.validate()
        self.backend = backend
        self.config = config
    }

    public func detect(_ frame: Frame) throws -> [Detection] {
        var found = try look(frame)
        if config.tiles == 1 { return found }
        for tile in tilesOf(width: frame.width, height: frame.height, count: config.tiles) {
            let inside = try look(part(of: frame, tile))
            found += inside.filter { !isCut($0.box, tile, frame) }.map { moved($0, into: tile) }
        }
        return suppressOverlaps(
            found, iouThreshold: config.iouThreshold, maxBoxes: config.maxDetections)
    }

    private func look(_ frame: Frame) throws -> [Detection] {
        let spec = backend.spec
        let (picture, roi) = try letterbox(
            frame, resolution: spec.input.resolution, rotation: config.rotation)
        let outputs = try backend.run(picture)
        return try decodeDetections(
            boxes: output("boxes", of: outputs, spec: spec),
            scores: output("scores", of: outputs, spec: spec), roi: roi, config: config)
    }
}

/// Overlapping squares that cover a frame, row by row.
///
/// - Parameters:
///   - width: of the frame, pixels.
///   - height: of the frame, pixels.
///   - count: of tiles along the shorter side; the longer one has as many as it takes.
/// - Returns: at least `count` tiles of one size; empty for frames too small to be cut.
public func tilesOf(width: Int, height: Int, count: Int) -> [Tile] {
    let parts = Double(count) - Double(count - 1) * tileOverlap
    let size = Int(roundHalfEven(Double(min(width, height)) / parts))
    guard size >= minTile else { return [] }
    let lefts = tileStarts(length: width, size: size)
    return tileStarts(length: height, size: size).flatMap { top in
        lefts.map { left in Tile(left: left, top: top, right: left + size, bottom: top + size) }
    }
}

/// Where tiles begin along a side: evenly, the last at the end, sharing at least the overlap.
private func tileStarts(length: Int, size: Int) -> [Int] {
    let free = Double(length - size)
    let tolerance = 0.01  // for the rounding of the size
    let steps = (free / (Double(size) * (1 - tileOverlap)) - tolerance).rounded(.up)
    let count = 1 + Int(steps)
    return (0..<count).map { index in
        Int(roundHalfEven(free * Double(index) / Double(max(count - 1, 1))))
    }
}

private func part(of frame: Frame, _ tile: Tile) -> Frame {
    let (width, height) = (tile.right - tile.left, tile.bottom - tile.top)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 * width * height)
    for row in tile.top..<tile.bottom {
        let from = row * frame.bytesPerRow + 4 * tile.left
        bytes += frame.bytes[from..<from + 4 * width]
    }
    return Frame(
        unchecked: bytes, width: width, height: height, bytesPerRow: 4 * width, order: frame.order)
}

private func moved(_ one: Detection, into tile: Tile) -> Detection {
    let (dx, dy) = (Double(tile.left), Double(tile.top))
    let box = Box(
        left: one.box.left + dx, top: one.box.top + dy, right: one.box.right + dx,
        bottom: one.box.bottom + dy)
    return Detection(box: box, score: one.score)
}

/// Whether a box, in the tile's pixels, reaches an edge of the tile that is not the frame's.
private func isCut(_ box: Box, _ tile: Tile, _ frame: Frame) -> Bool {
    let (width, height) = (Double(tile.right - tile.left), Double(tile.bottom - tile.top))
    let margin = border * width
    return (tile.left > 0 && box.left < margin) || (tile.top > 0 && box.top < margin)
        || (tile.right < frame.width && box.right > width - margin)
        || (tile.bottom < frame.height && box.bottom > height - margin)
}
