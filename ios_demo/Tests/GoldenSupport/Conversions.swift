// Between golden vectors and the types of FaceCore.

import FaceCore

extension Json {
    /// Points as rows of two numbers.
    public var landmarks: Landmarks {
        get throws {
            let values = try flat
            guard values.count % 2 == 0 else {
                throw GoldenError("expected pairs of numbers, got \(values.count) numbers")
            }
            return stride(from: 0, to: values.count, by: 2).map {
                SIMD2(values[$0], values[$0 + 1])
            }
        }
    }

    public var box: Box {
        get throws {
            let sides = try numbers
            guard sides.count == 4 else { throw GoldenError("expected a box, got \(sides)") }
            return Box(left: sides[0], top: sides[1], right: sides[2], bottom: sides[3])
        }
    }

    public var boxes: [Box] { get throws { try list.map { try $0.box } } }

    public var roi: Roi {
        get throws {
            try Roi(
                centerX: self["center_x"].number, centerY: self["center_y"].number,
                size: self["size"].number, rotationRad: self["rotation_rad"].number)
        }
    }

    public var rotation: Rotation {
        get throws {
            let rows = try list.map { try $0.numbers }
            guard rows.count == 3, rows.allSatisfy({ $0.count == 3 }) else {
                throw GoldenError("expected 3 x 3 numbers, got \(rows)")
            }
            return Rotation(SIMD3(rows[0]), SIMD3(rows[1]), SIMD3(rows[2]))
        }
    }

    public var alignmentOutputs: AlignmentOutputs {
        get throws {
            let presence = try self["presence"].flat
            return AlignmentOutputs(
                landmarks: try self["landmarks"].landmarks,
                pose: SIMD3(try self["pose"].flat), presence: presence[presence.count - 1])
        }
    }

    /// A picture of lists of (red, green, blue).
    public func frame(order: PixelOrder) throws -> Frame {
        let rows = try list
        let pixels = try rows.flatMap { row in
            try row.list.flatMap { pixel in
                let color = try pixel.numbers.map { UInt8($0) }
                return (order == .rgba ? color : color.reversed()) + [255]
            }
        }
        return try Frame(
            width: pixels.count / 4 / rows.count, height: rows.count, order: order, bytes: pixels)
    }

    public init(_ points: Landmarks) {
        self = .list(points.map { Json([Double($0.x), Double($0.y)]) })
    }

    public init(_ box: Box) { self.init([box.left, box.top, box.right, box.bottom]) }

    public init(_ rotation: Rotation) {
        self = .list(rotation.rows.map { Json([$0.x, $0.y, $0.z]) })
    }

    public init(_ roi: Roi) {
        self = [
            "center_x": .number(roi.centerX), "center_y": .number(roi.centerY),
            "size": .number(roi.size), "rotation_rad": .number(roi.rotationRad),
        ]
    }
}

/// A black frame.
public func blackFrame(width: Int, height: Int) throws -> Frame {
    try Frame(
        width: width, height: height, bytes: [UInt8](repeating: 0, count: 4 * width * height))
}
