// The 98-point landmark scheme of WFLW. "Right" and "left" are the subject's: the right eye is on
// the left side of the picture. Source: Wu et al., "Look at Boundary", CVPR 2018.

/// Number of landmarks of a face.
public let numLandmarks = 98

/// A polyline through some landmarks.
public struct FacePart: Sendable {
    public let name: String
    /// Indices, first and last included.
    public let indices: ClosedRange<Int>
    /// Whether the last point is joined to the first.
    public let isClosed: Bool
}

/// Polylines that draw a face.
public let faceParts: [FacePart] = [
    FacePart(name: "contour", indices: 0...32, isClosed: false),  // right ear, chin, left ear
    FacePart(name: "right eyebrow", indices: 33...41, isClosed: true),
    FacePart(name: "left eyebrow", indices: 42...50, isClosed: true),
    FacePart(name: "nose bridge", indices: 51...54, isClosed: false),
    FacePart(name: "nose base", indices: 55...59, isClosed: false),
    FacePart(name: "right eye", indices: 60...67, isClosed: true),
    FacePart(name: "left eye", indices: 68...75, isClosed: true),
    FacePart(name: "outer lips", indices: 76...87, isClosed: true),
    FacePart(name: "inner lips", indices: 88...95, isClosed: true),
]

public let noseTip = 54
public let rightPupil = 96
public let leftPupil = 97

/// Landmark i of a mirrored picture is landmark `mirrorIndices[i]` of the original.
public let mirrorIndices: [Int] = mirroredRuns.flatMap { $0 }

private let mirroredRuns: [[Int]] = [
    Array((0...32).reversed()),  // contour
    [46, 45, 44, 43, 42, 50, 49, 48, 47],  // right brow <- left brow
    [37, 36, 35, 34, 33, 41, 40, 39, 38],  // left brow <- right brow
    [51, 52, 53, 54],  // nose bridge: on the axis
    [59, 58, 57, 56, 55],  // nose base
    [72, 71, 70, 69, 68, 75, 74, 73],  // right eye <- left eye
    [64, 63, 62, 61, 60, 67, 66, 65],  // left eye <- right eye
    [82, 81, 80, 79, 78, 77, 76, 87, 86, 85, 84, 83],  // outer lips
    [92, 91, 90, 89, 88, 95, 94, 93],  // inner lips
    [97, 96],  // pupils
]
