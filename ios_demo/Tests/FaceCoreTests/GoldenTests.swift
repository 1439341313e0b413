// This package against the golden vectors of the Python runtime.

import FaceCore
import Foundation
import GoldenSupport
import Testing

/// Read where networks run: FaceOnnxTests here, FaceKitTests on a Mac.
private let stageOfNetworks = "end_to_end"

@Suite struct GoldenTests {
    @Test func everyStageHasAReaderAndEveryReaderAStage() throws {
        let known = Set(readers.keys).union([stageOfNetworks])
        #expect(try stages(in: goldenFolder) == known)
    }

    @Test(arguments: try goldenCases(of: Array(readers.keys), in: goldenFolder))
    func matches(_ golden: GoldenCase) throws {
        let reader = try #require(readers[golden.stage])
        let difference = try golden.firstDifference(from: reader(golden.inputs))
        #expect(difference == nil)
    }

    @Test func aStageWithoutCasesIsAnError() throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(
            at: folder.appendingPathComponent("decode"), withIntermediateDirectories: true)
        #expect(throws: GoldenError.self) { try goldenCases(of: ["decode"], in: folder) }
    }

    @Test(
        arguments: [
            ([.number(1)], [.number(1.2)]),
            ([.number(1), .number(2)], [.number(1)]),
            (["a": .number(1)], ["b": .number(1)]),
            (.bool(true), .bool(false)),
            (.bool(true), .number(1)),
            (.text("tracked"), .text("detected")),
            (.null, .number(1)),
            (.number(.nan), .number(1)),
        ] as [(Json, Json)])
    func theComparisonCanFail(got: Json, expected: Json) {
        #expect(firstDifference(got, expected, 0.1, "value") != nil)
    }
}
