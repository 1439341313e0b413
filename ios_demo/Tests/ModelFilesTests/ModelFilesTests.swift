import FaceCore
import Foundation
import GoldenSupport
import ModelFiles
import Testing

private let models = repository.appendingPathComponent("models")

@Suite struct ModelFilesTests {
    @Test func theAppsModelsAreCopiedAndAreTheManifests() throws {
        try withFolder { folder in
            let target = folder.appendingPathComponent("new/Models")
            let names = try copyModels(from: models, to: target, precision: "float16")
            #expect(names.count == 3)
            let again = try copyModels(from: models, to: target, precision: "float16")
            #expect(again == names)
            #expect(
                try Set(FileManager.default.contentsOfDirectory(atPath: target.path)) == Set(names))
            let manifest = try Manifest(folder: target)
            for name in modelNames {
                let (artifact, _) = try manifest.choose(
                    model: name, runtime: "coreml", precision: "float16")
                try artifact.verify(Contents(of: target.appendingPathComponent(artifact.path)))
            }
        }
    }

    @Test func aPackageWithAnotherByteIsRefusedAndNothingIsWritten() throws {
        try withFolder { folder in
            let damaged = folder.appendingPathComponent("models")
            try FileManager.default.copyItem(at: models, to: damaged)
            let (artifact, _) = try Manifest(folder: damaged).choose(
                model: "detector", runtime: "coreml", precision: "float16")
            let weights = damaged.appendingPathComponent(artifact.path)
                .appendingPathComponent("Data/com.apple.CoreML/weights/weight.bin")
            var bytes = try Data(contentsOf: weights)
            bytes[bytes.count / 2] ^= 1
            try bytes.write(to: weights)
            let target = folder.appendingPathComponent("target")
            #expect(throws: AtpnError.self) {
                try copyModels(from: damaged, to: target, precision: "float16")
            }
            #expect(!FileManager.default.fileExists(atPath: target.path))
        }
    }

    @Test func aPrecisionThatIsNotThereIsNamed() throws {
        try withFolder { folder in
            #expect(throws: AtpnError.self) {
                try copyModels(from: models, to: folder, precision: "float8")
            }
        }
    }
}

private func withFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
}
