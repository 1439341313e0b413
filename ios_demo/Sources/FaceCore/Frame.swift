/// Order of the four bytes of a pixel.
public enum PixelOrder: Sendable {
    /// Red, green, blue, alpha.
    case rgba
    /// Blue, green, red, alpha: `kCVPixelFormatType_32BGRA`, what iOS cameras give.
    case bgra

    /// Where red, green and blue stand.
    var channels: (red: Int, green: Int, blue: Int) {
        self == .rgba ? (0, 1, 2) : (2, 1, 0)
    }
}

/// A picture of 8 bits per channel, four bytes per pixel, row by row. Alpha is not looked at.
public struct Frame: Sendable {
    /// Columns, pixels.
    public let width: Int
    /// Rows, pixels.
    public let height: Int
    /// Bytes from one row to the next; rows may be padded.
    public let bytesPerRow: Int
    /// Order of the channels.
    public let order: PixelOrder
    /// All rows, padding included; the last row may end with its last pixel.
    public let bytes: [UInt8]

    /// A picture of bytes.
    ///
    /// - Parameter bytesPerRow: 4 x `width` when left out.
    /// - Throws: ``AtpnError/invalidFrame(_:)`` when it is empty or the bytes are too few.
    public init(
        width: Int, height: Int, bytesPerRow: Int? = nil, order: PixelOrder = .rgba, bytes: [UInt8]
    ) throws {
        let stride = bytesPerRow ?? 4 * width
        // Divided, not multiplied: absurd sizes must not overflow.
        let fits =
            width > 0 && height > 0 && stride / 4 >= width && bytes.count / 4 >= width
            && (bytes.count - 4 * width) / stride >= height - 1
        guard fits else {
            throw AtpnError.invalidFrame(
                "expected a frame of width x height pixels, four bytes each, got \(width) x "
                    + "\(height), \(stride) bytes per row and \(bytes.count) bytes")
        }
        self.init(
            unchecked: bytes, width: width, height: height, bytesPerRow: stride, order: order)
    }

    init(unchecked bytes: [UInt8], width: Int, height: Int, bytesPerRow: Int, order: PixelOrder) {
        self.width = width
        self.height = height
        self.bytesPerRow = bytesPerRow
        self.order = order
        self.bytes = bytes
    }

    /// The bytes of a black, opaque square.
    static func blackBytes(side: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4 * side * side)
        for alpha in stride(from: 3, to: bytes.count, by: 4) { bytes[alpha] = 255 }
        return bytes
    }
}
