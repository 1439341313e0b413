import Foundation

/// Every error that the package throws on purpose; each says what was expected and what came.
public enum AtpnError: Error, Sendable, Equatable {
    /// An option has a value outside its range.
    case config(String)
    /// A frame, region or timestamp handed in cannot be used.
    case invalidFrame(String)
    /// The manifest is not valid or breaks its schema.
    case manifest(String)
    /// A model or its file is missing.
    case modelNotFound(String)
    /// A model file's size or SHA-256 differs from the manifest's.
    case checksum(String)
    /// A network's inputs or outputs are not the ones its manifest entry declares.
    case modelMismatch(String)
    /// The engine failed, or gave numbers that are not finite.
    case engine(String)

    /// What was expected and what came.
    public var message: String {
        switch self {
        case .config(let message), .invalidFrame(let message), .manifest(let message),
            .modelNotFound(let message), .checksum(let message), .modelMismatch(let message),
            .engine(let message):
            return message
        }
    }
}

extension AtpnError: LocalizedError, CustomStringConvertible {
    public var errorDescription: String? { message }
    public var description: String { message }
}
