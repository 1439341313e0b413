// SHA-256 (FIPS 180-4). Written out because Foundation has none and CryptoKit exists on Apple's
// systems only: the proof of the model files has to run wherever they are copied.

private let roundConstants: [UInt32] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]

/// SHA-256 of bytes, lower-case hexadecimal.
public func sha256(_ bytes: [UInt8]) -> String {
    var state: [UInt32] = [
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
        0x5be0cd19,
    ]
    let whole = bytes.count / 64 * 64
    bytes.withUnsafeBufferPointer { source in
        for start in stride(from: 0, to: whole, by: 64) {
            compress(source, start, &state)
        }
    }
    var tail = Array(bytes[whole...]) + [0x80]
    let padding = (64 + 56 - tail.count % 64) % 64
    tail += [UInt8](repeating: 0, count: padding)
    let bits = UInt64(bytes.count) * 8
    tail += stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: bits >> $0) }
    tail.withUnsafeBufferPointer { source in
        for start in stride(from: 0, to: tail.count, by: 64) {
            compress(source, start, &state)
        }
    }
    return state.map { word in
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }.joined()
}

/// Take 64 bytes into the state.
private func compress(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int, _ state: inout [UInt32]) {
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { words in
        for index in 0..<16 {
            let first = start + 4 * index
            var word: UInt32 = 0
            for byte in bytes[first..<first + 4] {
                word = word << 8 | UInt32(byte)
            }
            words[index] = word
        }
        for index in 16..<64 {
            let (a, b) = (words[index - 15], words[index - 2])
            let low: UInt32 = rotated(a, 7) ^ rotated(a, 18) ^ (a >> 3)
            let high: UInt32 = rotated(b, 17) ^ rotated(b, 19) ^ (b >> 10)
            words[index] = words[index - 16] &+ low &+ words[index - 7] &+ high
        }
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        var (e, f, g, h) = (state[4], state[5], state[6], state[7])
        for index in 0..<64 {
            let sumE: UInt32 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)
            let choice: UInt32 = (e & f) ^ (~e & g)
            let first: UInt32 = h &+ sumE &+ choice &+ roundConstants[index] &+ words[index]
            let sumA: UInt32 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)
            let majority: UInt32 = (a & b) ^ (a & c) ^ (b & c)
            (h, g, f, e) = (g, f, e, d &+ first)
            (d, c, b, a) = (c, b, a, first &+ sumA &+ majority)
        }
        for (index, value) in [a, b, c, d, e, f, g, h].enumerated() {
            state[index] &+= value
        }
    }
}

private func rotated(_ value: UInt32, _ bits: UInt32) -> UInt32 {
    (value >> bits) | (value << (32 - bits))
}
