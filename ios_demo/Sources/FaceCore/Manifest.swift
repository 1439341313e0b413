// models/manifest.json: which models there are, what they take and give, and proof of their files.
//
// The reader is strict where it reads: a missing or mistyped field is an error that names it. What
// an app does not need (metrics, parity, tools) it leaves alone.

import Foundation

private let schemaVersion = 1

/// Order of a tensor's dimensions.
public enum Layout: String, Sendable, Decodable {
    case nchw = "NCHW"
    case nhwc = "NHWC"
}

/// The picture that a network takes: square, RGB, values 0...255.
public struct InputSpec: Sendable, Equatable {
    public let name: String
    /// [1, 3, S, S] or [1, S, S, 3], as `layout` says.
    public let shape: [Int]
    public let layout: Layout
    /// Pixels on a side.
    public let resolution: Int

    public init(name: String, resolution: Int, layout: Layout) {
        self.name = name
        self.resolution = resolution
        self.layout = layout
        shape = squareShape(layout, resolution)
    }
}

/// One result of a network.
public struct OutputSpec: Sendable, Equatable, Decodable {
    public let name: String
    public let shape: [Int]
    /// What the numbers are, in words.
    public let meaning: String

    public init(name: String, shape: [Int], meaning: String) {
        self.name = name
        self.shape = shape
        self.meaning = meaning
    }
}

/// What a backend has to know of a network.
public struct ModelSpec: Sendable, Equatable {
    /// The model's name, for messages.
    public let name: String
    public let input: InputSpec
    public let outputs: [OutputSpec]

    public init(name: String, input: InputSpec, outputs: [OutputSpec]) {
        self.name = name
        self.input = input
        self.outputs = outputs
    }
}

/// One file of a model.
public struct Artifact: Sendable, Equatable {
    /// The engine it is for: "onnx", "tflite", "coreml".
    public let runtime: String
    /// "float32", "float16", "int8", ...
    public let precision: String
    /// Relative to the manifest; a folder for Core ML.
    public let path: String
    /// Of the file, or of the folder's list of files, see ``Contents``.
    public let sha256: String
    /// Of the file, or of all files of the folder.
    public let sizeBytes: Int
    /// The file's own input where it differs from the model's.
    public let input: InputSpec?

    public init(
        runtime: String, precision: String, path: String, sha256: String, sizeBytes: Int,
        input: InputSpec? = nil
    ) {
        self.runtime = runtime
        self.precision = precision
        self.path = path
        self.sha256 = sha256
        self.sizeBytes = sizeBytes
        self.input = input
    }
}

/// One network in all its files.
public struct Model: Sendable {
    public let name: String
    /// Of the weights.
    public let version: String
    public let input: InputSpec
    public let outputs: [OutputSpec]
    /// Of the weights.
    public let license: String
    public let artifacts: [Artifact]
}

/// What `models/manifest.json` says.
public struct Manifest: Sendable {
    public let models: [Model]

    /// Read a manifest.
    ///
    /// - Parameter json: the file's bytes.
    /// - Throws: ``AtpnError/manifest(_:)`` when it is no JSON or breaks the schema.
    public init(json: Data) throws {
        let decoder = JSONDecoder()
        do {
            let version = try decoder.decode(Version.self, from: json).number
            guard version == schemaVersion else {
                throw AtpnError.manifest(
                    "expected schema_version \(schemaVersion) in the manifest, got \(version): it "
                        + "was made for another release")
            }
            models = try decoder.decode(Root.self, from: json).models
        } catch let error as DecodingError {
            throw AtpnError.manifest(explain(error))
        }
        try requireDistinct("models", models.map(\.name))
    }

    /// Read `manifest.json` of a folder.
    ///
    /// - Throws: ``AtpnError/manifest(_:)`` when it is missing or breaks the schema.
    public init(folder: URL) throws {
        let file = folder.appendingPathComponent("manifest.json")
        do {
            try self.init(json: Data(contentsOf: file))
        } catch let error where !(error is AtpnError) {
            throw AtpnError.manifest(
                "expected a manifest at \(file.path), it cannot be read: \(error)")
        }
    }

    /// Choose a file.
    ///
    /// - Returns: the file, and what an engine has to know of it.
    /// - Throws: ``AtpnError/modelNotFound(_:)`` when the manifest has none.
    public func choose(
        model name: String, runtime: String, precision: String
    ) throws -> (artifact: Artifact, spec: ModelSpec) {
        guard let model = models.first(where: { $0.name == name }) else {
            throw AtpnError.modelNotFound(
                "expected a model out of \(models.map(\.name)), got \(name)")
        }
        let found = model.artifacts.first { $0.runtime == runtime && $0.precision == precision }
        guard let artifact = found else {
            let kinds = model.artifacts.map { "\($0.runtime) \($0.precision)" }
            throw AtpnError.modelNotFound(
                "expected a file of model \(name) out of \(kinds), got \(runtime) \(precision)")
        }
        let spec = ModelSpec(
            name: name, input: artifact.input ?? model.input, outputs: model.outputs)
        return (artifact, spec)
    }
}

/// The bytes of a model: of one file, or of the files of a folder by their paths in it.
public enum Contents: Sendable {
    case file([UInt8])
    case folder([String: [UInt8]])

    /// Read a file, or all files of a folder.
    ///
    /// - Throws: ``AtpnError/modelNotFound(_:)`` when it is missing or cannot be read.
    public init(of url: URL) throws {
        do {
            self =
                isFolder(url)
                ? .folder(try filesOf(url).mapValues { [UInt8](try Data(contentsOf: $0)) })
                : .file([UInt8](try Data(contentsOf: url)))
        } catch {
            throw AtpnError.modelNotFound(
                "expected a model at \(url.path), it cannot be read: \(error)")
        }
    }

    /// Bytes of the file, or of all files together.
    public var sizeBytes: Int {
        switch self {
        case .file(let bytes): bytes.count
        case .folder(let files): files.values.reduce(0) { $0 + $1.count }
        }
    }

    /// SHA-256 of the file; of a folder that of its list: a line `<SHA-256>  <path>` per file,
    /// sorted by path.
    public var sha256: String {
        switch self {
        case .file(let bytes):
            return FaceCore.sha256(bytes)
        case .folder(let files):
            let lines = files.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
                .map { path in "\(FaceCore.sha256(files[path] ?? []))  \(path)\n" }
            return FaceCore.sha256([UInt8](lines.joined().utf8))
        }
    }
}

extension Artifact {
    /// Prove that a file is the one described.
    ///
    /// - Throws: ``AtpnError/checksum(_:)`` when its size or SHA-256 differs.
    public func verify(_ contents: Contents) throws {
        guard contents.sizeBytes == sizeBytes else {
            throw AtpnError.checksum(
                "expected \(sizeBytes) bytes in \(path), got \(contents.sizeBytes)")
        }
        let digest = contents.sha256
        guard digest == sha256 else {
            throw AtpnError.checksum("expected SHA-256 \(sha256) of \(path), got \(digest)")
        }
    }
}

// MARK: - Files

private func isFolder(_ url: URL) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder)
        && isFolder.boolValue
}

private func filesOf(_ folder: URL) throws -> [String: URL] {
    var files: [String: URL] = [:]
    for path in try FileManager.default.subpathsOfDirectory(atPath: folder.path) {
        let url = folder.appendingPathComponent(path)
        if !isFolder(url) { files[path] = url }
    }
    return files
}

// MARK: - Schema

private struct Version: Decodable {
    let number: Int
    enum CodingKeys: String, CodingKey { case number = "schema_version" }
}

private struct Root: Decodable {
    let models: [Model]
}

extension InputSpec: Decodable {
    private enum CodingKeys: String, CodingKey { case name, shape, layout, color, range, dtype }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        let shape = try fields.decode([Int].self, forKey: .shape)
        let layout = try fields.decode(Layout.self, forKey: .layout)
        // Normalisation is part of the graph, so that no caller can get it wrong.
        try fields.require("RGB", forKey: .color)
        try fields.require("float32", forKey: .dtype)
        try fields.require([0, 255], forKey: .range)
        let side = shape.count == 4 ? shape[2] : 0  // the same place in both layouts
        guard side > 0, shape == squareShape(layout, side) else {
            let wanted = layout == .nchw ? "[1, 3, S, S]" : "[1, S, S, 3]"
            throw DecodingError.dataCorruptedError(
                forKey: .shape, in: fields,
                debugDescription: "expected \(wanted) for \(layout.rawValue), got \(shape)")
        }
        self.init(
            name: try fields.decode(String.self, forKey: .name), resolution: side, layout: layout)
    }
}

private func squareShape(_ layout: Layout, _ side: Int) -> [Int] {
    layout == .nchw ? [1, 3, side, side] : [1, side, side, 3]
}

extension Artifact: Decodable {
    private enum CodingKeys: String, CodingKey {
        case runtime, precision, path, sha256, input
        case sizeBytes = "bytes"
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        runtime = try fields.decode(String.self, forKey: .runtime)
        precision = try fields.decode(String.self, forKey: .precision)
        path = try fields.decode(String.self, forKey: .path)
        sha256 = try fields.decode(String.self, forKey: .sha256)
        sizeBytes = try fields.decode(Int.self, forKey: .sizeBytes)
        input = try fields.decodeIfPresent(InputSpec.self, forKey: .input)
        let leaves = path.hasPrefix("/") || path.split(separator: "/").contains("..")
        guard !path.isEmpty, !leaves, !path.contains(where: { $0 == "\\" || $0 == ":" }) else {
            throw DecodingError.dataCorruptedError(
                forKey: .path, in: fields,
                debugDescription:
                    "expected a relative path inside the manifest's folder, got \(path)")
        }
        let isDigest = sha256.count == 64 && sha256.allSatisfy("0123456789abcdef".contains)
        guard isDigest else {
            throw DecodingError.dataCorruptedError(
                forKey: .sha256, in: fields,
                debugDescription: "expected 64 lower-case hexadecimal digits, got \(sha256)")
        }
    }
}

extension Model: Decodable {
    private enum CodingKeys: String, CodingKey {
        case name, version, input, outputs, license, artifacts
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        name = try fields.decode(String.self, forKey: .name)
        version = try fields.decode(String.self, forKey: .version)
        input = try fields.decode(InputSpec.self, forKey: .input)
        outputs = try fields.decode([OutputSpec].self, forKey: .outputs)
        license = try fields.decode(String.self, forKey: .license)
        artifacts = try fields.decode([Artifact].self, forKey: .artifacts)
        try requireDistinct("the outputs of \(name)", outputs.map(\.name))
        try requireDistinct(
            "the artifacts of \(name)", artifacts.map { "\($0.runtime) \($0.precision)" })
    }
}

extension KeyedDecodingContainer {
    fileprivate func require<T: Decodable & Equatable>(_ wanted: T, forKey key: Key) throws {
        let got = try decode(T.self, forKey: key)
        guard got == wanted else {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: self, debugDescription: "expected \(wanted), got \(got)")
        }
    }
}

private func requireDistinct(_ what: String, _ names: [String]) throws {
    guard Set(names).count == names.count else {
        throw AtpnError.manifest("expected each of \(what) once, got \(names)")
    }
}

/// The message of a decoding error, with the place in the manifest.
private func explain(_ error: DecodingError) -> String {
    func place(_ context: DecodingError.Context, _ key: (any CodingKey)? = nil) -> String {
        let keys = context.codingPath + (key.map { [$0] } ?? [])
        let path = keys.map { $0.intValue.map { "[\($0)]" } ?? ".\($0.stringValue)" }
        return "the manifest" + path.joined()
    }
    switch error {
    case .keyNotFound(let key, let context):
        return "expected the field \(key.stringValue) in \(place(context)), it is missing"
    case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
        return "expected \(type) at \(place(context)), got something else"
    case .dataCorrupted(let context):
        return "\(context.debugDescription) at \(place(context))"
    @unknown default:
        return "expected a manifest of schema_version \(schemaVersion), got: \(error)"
    }
}
