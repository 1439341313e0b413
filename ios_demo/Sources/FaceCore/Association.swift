// Which boxes show the same face. Pure functions.

private let maxSizeRatio = 2.0  // between a lost face and one that may be it

/// Whether a box shows the same face as one of the others: IoU at or above the threshold.
public func overlapsAny(_ box: Box, _ others: [Box], iouThreshold: Double) -> Bool {
    others.contains { other in boxIou(box, other) >= iouThreshold }
}

/// Choose one track per face.
///
/// Of two tracks on one face the one with the lower presence goes: its region fits the face worse.
/// Where presences agree to two decimals, noise must not decide, and the later in the order goes.
///
/// - Parameters:
///   - boxes: per track, the one to be preferred first.
///   - presences: per track.
///   - iouThreshold: tracks whose boxes overlap by at least this sit on one face.
/// - Returns: indices of the tracks to keep, ascending.
public func distinctFaces(boxes: [Box], presences: [Double], iouThreshold: Double) -> [Int] {
    let percents = presences.map { presence in roundHalfEven(presence * 100) }
    let order = boxes.indices.sorted { a, b in (-percents[a], a) < (-percents[b], b) }
    var kept: [Int] = []
    for index in order {
        let others = kept.map { other in boxes[other] }
        if !overlapsAny(boxes[index], others, iouThreshold: iouThreshold) {
            kept.append(index)
        }
    }
    return kept.sorted()
}

/// Which faces that were lost have come back.
///
/// The nearest pair first; a face is matched once. Distances are between centres, in longer sides
/// of the lost face's box.
///
/// - Parameters:
///   - boxes: of the faces that were found.
///   - lostBoxes: where lost faces were last seen.
///   - maxDistance: farther away, it is another face.
/// - Returns: per found face the index of the lost one, nil where it is none of them.
public func matchLost(boxes: [Box], lostBoxes: [Box], maxDistance: Double) -> [Int?] {
    var pairs: [(distance: Double, found: Int, lost: Int)] = []
    for (found, box) in boxes.enumerated() {
        for (lost, lostBox) in lostBoxes.enumerated() {
            let distance = distance(from: box, toLost: lostBox)
            if distance <= maxDistance {
                pairs.append((distance, found, lost))
            }
        }
    }
    var matches = [Int?](repeating: nil, count: boxes.count)
    var taken: Set<Int> = []
    for pair in pairs.sorted(by: <) where matches[pair.found] == nil && !taken.contains(pair.lost) {
        matches[pair.found] = pair.lost
        taken.insert(pair.lost)
    }
    return matches
}

/// Between the centres, in sizes of the lost face; infinite for faces of other sizes.
private func distance(from box: Box, toLost lost: Box) -> Double {
    let size = lost.longerSide
    let ratio = box.longerSide / size
    guard ratio >= 1 / maxSizeRatio && ratio <= maxSizeRatio else { return .infinity }
    let dx = (box.left + box.right - lost.left - lost.right) / 2
    let dy = (box.top + box.bottom - lost.top - lost.bottom) / 2
    return (dx * dx + dy * dy).squareRoot() / size
}
