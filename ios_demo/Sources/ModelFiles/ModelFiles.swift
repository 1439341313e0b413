// The model files that an app takes along, verified.

import FaceCore
import Foundation

/// The networks of an app.
public let modelNames = ["atpn", "detector"]

/// Copy the Core ML packages of a precision, and the manifest, into a folder.
///
/// Each is verified by the manifest's hash before anything is written; a package is written beside
/// its place and then moved there, so that no half of one stays behind.
///
/// - Parameters:
///   - models: folder of `manifest.json` and the packages.
///   - target: made where it is missing; other files in it stay.
/// - Returns: the names of what was copied.
/// - Throws: ``AtpnError`` when a file is missing or not the one the manifest describes.
public func copyModels(
    from models: URL, to target: URL, precision: String
) throws -> [String] {
    let manifest = try Manifest(folder: models)
    let artifacts = try modelNames.map { name in
        try manifest.choose(model: name, runtime: "coreml", precision: precision).artifact
    }
    for artifact in artifacts {
        try artifact.verify(Contents(of: models.appendingPathComponent(artifact.path)))
    }
    try FileManager.default.createDirectory(at: target, withIntermediateDirectories: true)
    let names = artifacts.map(\.path) + ["manifest.json"]
    for name in names {
        try replace(target.appendingPathComponent(name), by: models.appendingPathComponent(name))
    }
    return names
}

private func replace(_ target: URL, by source: URL) throws {
    let files = FileManager.default
    let unfinished = target.deletingLastPathComponent()
        .appendingPathComponent(".\(target.lastPathComponent).\(UUID().uuidString)")
    defer { try? files.removeItem(at: unfinished) }
    try files.copyItem(at: source, to: unfinished)
    if files.fileExists(atPath: target.path) { try files.removeItem(at: target) }
    try files.moveItem(at: unfinished, to: target)
}
