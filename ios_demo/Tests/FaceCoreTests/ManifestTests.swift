// The reader of models/manifest.json: reads the real one, names what is wrong with others.

import FaceCore
import Foundation
import GoldenSupport
import Testing

private let manifestFile = repository.appendingPathComponent("models/manifest.json")

/// The manifest with one text in it replaced at its first place.
private func changed(_ old: String, _ new: String) throws -> Data {
    var text = try String(contentsOf: manifestFile, encoding: .utf8)
    let place = try #require(text.range(of: old, options: .regularExpression))
    text.replaceSubrange(place, with: new)
    return Data(text.utf8)
}

@Suite struct ManifestTests {
    @Test func readsTheProjectsOwn() throws {
        let manifest = try Manifest(folder: repository.appendingPathComponent("models"))
        let (artifact, spec) = try manifest.choose(
            model: "atpn", runtime: "coreml", precision: "float16")
        #expect(artifact.path.hasSuffix(".mlpackage"))
        #expect(spec.outputs.map(\.name) == ["landmarks", "pose", "presence"])
        let side = spec.input.resolution
        #expect(spec.input.shape == [1, 3, side, side])
        let (_, other) = try manifest.choose(
            model: "atpn", runtime: "tflite", precision: "float16")
        #expect(other.input.layout == .nhwc)
    }

    @Test(arguments: [
        ("another schema", "\"schema_version\": 1", "\"schema_version\": 9", "schema_version 1"),
        ("no models", "\"models\":", "\"modells\":", "the field models"),
        (
            "a range of 0...1", "\"range\": \\[\\s*0,\\s*255\\s*\\]", "\"range\": [0, 1]",
            "expected [0, 255], got [0, 1] at the manifest.models[0].input.range"
        ),
        (
            "a path that leaves the folder", "\"path\": \"[^\"]*\"", "\"path\": \"../x\"",
            "expected a relative path inside the manifest's folder, got ../x"
        ),
        (
            "a short hash", "\"sha256\": \"[^\"]*\"", "\"sha256\": \"abc\"",
            "expected 64 lower-case hexadecimal digits, got abc"
        ),
        ("a size of letters", "\"bytes\": [0-9]+", "\"bytes\": \"many\"", "expected Int at"),
        (
            "the same model twice", "\"name\": \"detector\"", "\"name\": \"atpn\"",
            "expected each of models once"
        ),
    ])
    func refuses(what: String, old: String, new: String, message: String) throws {
        do {
            _ = try Manifest(json: changed(old, new))
            Issue.record("expected an error for \(what)")
        } catch let error as AtpnError {
            #expect(error.message.contains(message))
        }
    }

    @Test(arguments: ["null", "[]", "\"text\"", "{", ""])
    func refusesWhatIsNoManifest(text: String) {
        #expect(throws: AtpnError.self) { try Manifest(json: Data(text.utf8)) }
    }

    @Test func aFolderWithoutAManifestIsNamed() {
        #expect(throws: AtpnError.self) {
            try Manifest(folder: repository.appendingPathComponent("no such folder"))
        }
    }

    @Test func whatIsNotThereIsNamedWithWhatIs() throws {
        let manifest = try Manifest(json: Data(contentsOf: manifestFile))
        #expect(throws: AtpnError.self) {
            try manifest.choose(model: "eyes", runtime: "onnx", precision: "int8")
        }
        do {
            _ = try manifest.choose(model: "atpn", runtime: "onnx", precision: "int4")
            Issue.record("expected an error")
        } catch let error as AtpnError {
            #expect(error.message.contains("onnx float32"))
        }
    }
}

@Suite struct HashTests {
    // FIPS 180-2, appendix B, and the lengths around a block's end.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            String(repeating: "a", count: 64),
            "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"
        ),
    ])
    func standardVectors(text: String, digest: String) {
        #expect(sha256([UInt8](text.utf8)) == digest)
    }

    @Test func otherBytesAndOtherSizesAreRefused() throws {
        let artifact = Artifact(
            runtime: "onnx", precision: "float32", path: "abc.onnx",
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            sizeBytes: 3)
        try artifact.verify(.file([UInt8]("abc".utf8)))
        #expect(throws: AtpnError.self) { try artifact.verify(.file([UInt8]("abd".utf8))) }
        #expect(throws: AtpnError.self) { try artifact.verify(.file([UInt8]("abcd".utf8))) }
    }
}
