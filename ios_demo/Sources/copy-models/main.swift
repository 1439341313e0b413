// swift run copy-models MODELS TARGET [PRECISION]: see ModelFiles.

import Foundation
import ModelFiles

let arguments = CommandLine.arguments.dropFirst()
guard (2...3).contains(arguments.count) else {
    FileHandle.standardError.write(
        Data("expected MODELS TARGET [PRECISION], got \(Array(arguments))\n".utf8))
    exit(2)
}
let folders = arguments.prefix(2).map { URL(fileURLWithPath: $0, isDirectory: true) }
let precision = arguments.count == 3 ? arguments[arguments.endIndex - 1] : "float16"
do {
    for name in try copyModels(from: folders[0], to: folders[1], precision: precision) {
        print("  \(name): verified and copied")
    }
} catch {
    FileHandle.standardError.write(Data("models not copied: \(error)\n".utf8))
    exit(1)
}
