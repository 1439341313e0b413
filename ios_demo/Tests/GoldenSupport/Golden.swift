// Golden vectors: reads the cases that the Python runtime wrote, and compares as it does.

import Foundation

/// The repository that this package is part of.
public let repository = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// The folder of the stages.
public let goldenFolder = repository.appendingPathComponent("tests/golden")

/// One golden vector.
public struct GoldenCase: Sendable, CustomStringConvertible {
    public let stage: String
    public let name: String
    /// What the stage is given.
    public let inputs: Json
    /// What it must give.
    public let expected: [String: Json]
    /// Largest absolute difference, by field of `expected`.
    public let tolerance: [String: Double]

    public var description: String { "\(stage)/\(name)" }

    /// The first place where a result differs; nil where none does.
    public func firstDifference(from got: Json) throws -> String? {
        for (field, wanted) in expected.sorted(by: { $0.key < $1.key }) {
            guard let value = try got.object[field] else { return "\(field): missing" }
            let reach = tolerance[field] ?? 0
            if let found = GoldenSupport.firstDifference(value, wanted, reach, field) {
                return "\(stage)/\(name): \(found)"
            }
        }
        return nil
    }
}

/// The folders of the stages.
public func stages(in folder: URL) throws -> Set<String> {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    return Set(
        names.filter { name in
            var isFolder: ObjCBool = false
            let path = folder.appendingPathComponent(name).path
            return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
                && isFolder.boolValue
        })
}

/// The cases of some stages.
///
/// - Throws: when a stage has none, or a file is not in the format.
public func goldenCases(of stages: [String], in folder: URL) throws -> [GoldenCase] {
    try stages.sorted().flatMap { stage in
        let path = folder.appendingPathComponent(stage)
        let files = try FileManager.default.contentsOfDirectory(atPath: path.path)
            .filter { $0.hasSuffix(".json") }.sorted()
        guard !files.isEmpty else {
            throw GoldenError("expected golden cases in \(stage), found none")
        }
        return try files.map { try readCase(path.appendingPathComponent($0), stage: stage) }
    }
}

private func readCase(_ file: URL, stage: String) throws -> GoldenCase {
    let fields = try Json(Data(contentsOf: file)).object
    let wanted: Set = ["inputs", "expected", "tolerance"]
    guard Set(fields.keys) == wanted else {
        throw GoldenError(
            "expected \(wanted.sorted()) in \(file.path), got \(fields.keys.sorted())")
    }
    let document = Json.object(fields)
    let expected = try document["expected"].object
    let tolerance = try document["tolerance"].object
    guard Set(expected.keys) == Set(tolerance.keys), !expected.isEmpty else {
        throw GoldenError("expected a tolerance per field of expected in \(file.path)")
    }
    _ = try document["inputs"].object
    return GoldenCase(
        stage: stage, name: file.deletingPathExtension().lastPathComponent,
        inputs: try document["inputs"], expected: expected,
        tolerance: try tolerance.mapValues { try $0.number })
}

/// Numbers within the tolerance, everything else equal; the same structure.
///
/// - Returns: the first place that differs, nil where none does.
public func firstDifference(
    _ got: Json, _ expected: Json, _ tolerance: Double, _ place: String
) -> String? {
    switch (got, expected) {
    case (.number(let value), .number(let wanted)):
        let reach = max(tolerance, 1e-7 * abs(wanted))
        let isClose = abs(value - wanted) <= reach  // NaN compares false
        return isClose ? nil : "\(place): expected \(wanted) within \(tolerance), got \(value)"
    case (.list(let values), .list(let wanted)):
        guard values.count == wanted.count else {
            return "\(place): expected \(wanted.count) elements, got \(values.count)"
        }
        for (index, pair) in zip(values, wanted).enumerated() {
            let inside = "\(place)[\(index)]"
            if let found = firstDifference(pair.0, pair.1, tolerance, inside) { return found }
        }
        return nil
    case (.object(let values), .object(let wanted)):
        guard values.keys.sorted() == wanted.keys.sorted() else {
            return
                "\(place): expected the fields \(wanted.keys.sorted()), got \(values.keys.sorted())"
        }
        for (key, value) in values.sorted(by: { $0.key < $1.key }) {
            let inside = "\(place).\(key)"
            if let found = firstDifference(value, wanted[key] ?? .null, tolerance, inside) {
                return found
            }
        }
        return nil
    default:
        return got == expected ? nil : "\(place): expected \(expected), got \(got)"
    }
}
