// The bundled clip as tools/reference.py decoded it, and what the Python runtime gives for it.

import FaceCore
import Foundation

/// Raw frames with Python's results.
public final class Clip {
    public let frameCount: Int
    public let framesPerSecond: Double
    /// What Python's tracker gave, frame by frame.
    public let reference: [Json]
    private let width: Int
    private let height: Int
    private let file: FileHandle

    /// - Parameter folder: the output of tools/reference.py.
    public init(folder: URL) throws {
        let document = try Json(
            Data(contentsOf: folder.appendingPathComponent("reference.json")))
        width = try document["width"].int
        height = try document["height"].int
        framesPerSecond = try document["frames_per_second"].number
        reference = try document["frames"].list
        frameCount = reference.count
        guard frameCount > 0 else { throw GoldenError("expected frames in \(folder.path)") }
        file = try FileHandle(forReadingFrom: folder.appendingPathComponent("frames.rgba"))
    }

    deinit {
        try? file.close()
    }

    /// A frame of the clip.
    public func frame(_ index: Int) throws -> Frame {
        let count = 4 * width * height
        try file.seek(toOffset: UInt64(index * count))
        guard let bytes = try file.read(upToCount: count), bytes.count == count else {
            throw GoldenError("expected \(count) bytes of frame \(index)")
        }
        return try Frame(width: width, height: height, bytes: [UInt8](bytes))
    }
}

/// A face as the golden vectors of the clip have it.
public func clipFields(_ face: Face) -> Json {
    [
        "track_id": Json(face.trackId), "source": .text(face.source.rawValue),
        "presence": .number(face.presence), "rotation": Json(face.pose.rotation),
        "landmarks": Json(face.landmarks),
    ]
}
