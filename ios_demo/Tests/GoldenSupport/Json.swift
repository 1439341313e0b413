import Foundation

/// What JSON holds.
public enum Json: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case text(String)
    case list([Json])
    case object([String: Json])

    /// - Throws: when the bytes are no JSON.
    public init(_ data: Data) throws {
        self = try JSONDecoder().decode(Json.self, from: data)
    }
}

extension Json: Decodable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([Json].self) {
            self = .list(value)
        } else {
            self = .object(try container.decode([String: Json].self))
        }
    }
}

// MARK: - Typed access; what is not of the type is an error that shows it

extension Json {
    public subscript(key: String) -> Json {
        get throws {
            guard let value = try object[key] else { throw wrong("a field \(key)") }
            return value
        }
    }

    public var object: [String: Json] {
        get throws {
            guard case .object(let fields) = self else { throw wrong("an object") }
            return fields
        }
    }

    public var list: [Json] {
        get throws {
            guard case .list(let values) = self else { throw wrong("a list") }
            return values
        }
    }

    public var number: Double {
        get throws {
            guard case .number(let value) = self else { throw wrong("a number") }
            return value
        }
    }

    public var int: Int {
        get throws {
            guard let value = Int(exactly: try number) else { throw wrong("a whole number") }
            return value
        }
    }

    public var bool: Bool {
        get throws {
            guard case .bool(let value) = self else { throw wrong("true or false") }
            return value
        }
    }

    public var text: String {
        get throws {
            guard case .text(let value) = self else { throw wrong("a text") }
            return value
        }
    }

    public var numbers: [Double] { get throws { try list.map { try $0.number } } }

    /// Nested lists of numbers, flat.
    public var flat: [Float] {
        get throws {
            if case .list(let values) = self { return try values.flatMap { try $0.flat } }
            return [Float(try number)]
        }
    }

    private func wrong(_ wanted: String) -> GoldenError {
        GoldenError("expected \(wanted), got \("\(self)".prefix(80))")
    }
}

// MARK: - Making

extension Json: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral {
    public init(dictionaryLiteral elements: (String, Json)...) {
        self = .object(Dictionary(uniqueKeysWithValues: elements))
    }

    public init(arrayLiteral elements: Json...) { self = .list(elements) }

    public init(_ values: [Double]) { self = .list(values.map(Json.number)) }

    public init(_ value: Int) { self = .number(Double(value)) }
}

/// What is wrong with golden vectors, or with what a test was given.
public struct GoldenError: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
