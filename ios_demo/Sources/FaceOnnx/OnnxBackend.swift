// ONNX Runtime by its C API: runs the networks off Apple's systems, for the tests.

import COnnxRuntime
import FaceCore

/// A network that ONNX Runtime runs, on one thread of the processor.
public final class OnnxBackend: Backend {
    public let spec: ModelSpec
    private let runtime: Runtime
    private var session: OpaquePointer?

    /// - Parameters:
    ///   - model: the bytes of an .onnx file, already verified.
    ///   - spec: what the manifest says about it.
    /// - Throws: ``AtpnError/engine(_:)`` when the engine does not load it.
    public init(model: [UInt8], spec: ModelSpec) throws {
        self.spec = spec
        runtime = try Runtime.shared.get()
        let api = runtime.api
        var options: OpaquePointer?
        try runtime.check(api.CreateSessionOptions(&options))
        defer { api.ReleaseSessionOptions(options) }
        try runtime.check(api.SetIntraOpNumThreads(options, 1))
        try model.withUnsafeBytes { bytes in
            try runtime.check(
                api.CreateSessionFromArray(
                    runtime.environment, bytes.baseAddress, bytes.count, options, &session))
        }
    }

    deinit {
        runtime.api.ReleaseSession(session)
    }

    public func run(_ picture: Frame) throws -> [String: [Float]] {
        var values = try tensor(of: picture, spec: spec.input)
        let names = spec.outputs.map(\.name)
        var results = [OpaquePointer?](repeating: nil, count: names.count)
        defer { results.forEach { runtime.api.ReleaseValue($0) } }
        try withInput(&values) { input in
            try withCStrings([spec.input.name] + names) { strings in
                try runtime.check(
                    runtime.api.Run(
                        session, nil, [strings[0]], [input], 1, Array(strings[1...]),
                        names.count, &results))
            }
        }
        let outputs = try zip(spec.outputs, results).map { output, value in
            (output.name, try numbers(of: value))
        }
        return Dictionary(uniqueKeysWithValues: outputs)
    }

    private func withInput(_ values: inout [Float], _ body: (OpaquePointer?) throws -> Void) throws
    {
        let shape = spec.input.shape.map(Int64.init)
        let api = runtime.api
        try values.withUnsafeMutableBytes { bytes in
            var memory: OpaquePointer?
            try runtime.check(
                api.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory))
            defer { api.ReleaseMemoryInfo(memory) }
            var input: OpaquePointer?
            try runtime.check(
                api.CreateTensorWithDataAsOrtValue(
                    memory, bytes.baseAddress, bytes.count, shape, shape.count,
                    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input))
            defer { api.ReleaseValue(input) }
            try body(input)
        }
    }

    /// The numbers of a result, copied.
    private func numbers(of value: OpaquePointer?) throws -> [Float] {
        let api = runtime.api
        var info: OpaquePointer?
        try runtime.check(api.GetTensorTypeAndShape(value, &info))
        defer { api.ReleaseTensorTypeAndShapeInfo(info) }
        var count = 0
        try runtime.check(api.GetTensorShapeElementCount(info, &count))
        var kind = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED
        try runtime.check(api.GetTensorElementType(info, &kind))
        var data: UnsafeMutableRawPointer?
        try runtime.check(api.GetTensorMutableData(value, &data))
        guard kind == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, let data else {
            throw AtpnError.modelMismatch(
                "expected float32 outputs of model \(spec.name), got type \(kind.rawValue)")
        }
        let floats = data.assumingMemoryBound(to: Float.self)
        return Array(UnsafeBufferPointer(start: floats, count: count))
    }
}

/// The library and its environment: one for the process, for as long as it lives. Its functions may
/// be called from any thread.
private final class Runtime: @unchecked Sendable {
    static let shared = Result { try Runtime() }
    let api: OrtApi
    private(set) var environment: OpaquePointer?

    private init() throws {
        guard let base = OrtGetApiBase(), let table = base.pointee.GetApi(UInt32(ORT_API_VERSION))
        else {
            throw AtpnError.engine(
                "expected a library with ONNX Runtime's API \(ORT_API_VERSION), got an older one")
        }
        api = table.pointee
        try check(api.CreateEnv(ORT_LOGGING_LEVEL_WARNING, "atpn", &environment))
        try check(api.DisableTelemetryEvents(environment))
    }

    func check(_ status: OpaquePointer?) throws {
        guard let status else { return }
        defer { api.ReleaseStatus(status) }
        let message = api.GetErrorMessage(status).map { String(cString: $0) } ?? "no message"
        throw AtpnError.engine("expected ONNX Runtime to succeed: \(message)")
    }
}

/// Hand strings to C; they are valid inside of the body alone.
private func withCStrings(
    _ strings: [String], _ body: ([UnsafePointer<CChar>?]) throws -> Void
) throws {
    let all = strings.flatMap { Array($0.utf8CString) }
    var starts = [0]
    for string in strings { starts.append(starts[starts.count - 1] + string.utf8.count + 1) }
    try all.withUnsafeBufferPointer { buffer in
        try body(starts.dropLast().map { start in buffer.baseAddress.map { $0 + start } })
    }
}
