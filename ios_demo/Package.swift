// swift-tools-version: 6.0
import PackageDescription

// The engine of the tests that run the networks off Apple's systems: set by tools/test.sh, to a
// folder with include/ (ONNX Runtime's C API) and lib/ (its library).
let onnxRuntime = Context.environment["ATPN_ONNXRUNTIME"]

let package = Package(
    name: "AtpnFace",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "FaceCore", targets: ["FaceCore"]),
        .library(name: "FaceKit", targets: ["FaceKit"]),
        .library(name: "DemoCore", targets: ["DemoCore"]),
    ],
    targets: [
        // The tracker: Foundation only, every platform.
        .target(name: "FaceCore"),
        // Core ML, Vision and pixel buffers; empty where there is no Core ML.
        .target(name: "FaceKit", dependencies: ["FaceCore"]),
        // What the demo app computes: what to draw, what to say.
        .target(name: "DemoCore", dependencies: ["FaceCore"]),
        // Copies the verified models to where the app takes them from.
        .executableTarget(name: "copy-models", dependencies: ["ModelFiles"]),
        .target(name: "ModelFiles", dependencies: ["FaceCore"]),

        .target(name: "GoldenSupport", dependencies: ["FaceCore"], path: "Tests/GoldenSupport"),
        .testTarget(name: "FaceCoreTests", dependencies: ["FaceCore", "GoldenSupport"]),
        .testTarget(name: "DemoCoreTests", dependencies: ["DemoCore", "GoldenSupport"]),
        .testTarget(name: "ModelFilesTests", dependencies: ["ModelFiles", "GoldenSupport"]),
        .testTarget(name: "FaceKitTests", dependencies: ["FaceKit", "GoldenSupport"]),
    ]
)

if let onnxRuntime {
    package.targets += [
        .systemLibrary(name: "COnnxRuntime"),
        .target(
            name: "FaceOnnx", dependencies: ["FaceCore", "COnnxRuntime"],
            swiftSettings: [.unsafeFlags(["-Xcc", "-I\(onnxRuntime)/include"])],
            linkerSettings: [
                .unsafeFlags(["-L\(onnxRuntime)/lib", "-Xlinker", "-rpath=\(onnxRuntime)/lib"])
            ]),
        .testTarget(
            name: "FaceOnnxTests", dependencies: ["FaceOnnx", "GoldenSupport"],
            swiftSettings: [.unsafeFlags(["-Xcc", "-I\(onnxRuntime)/include"])]),
    ]
}
