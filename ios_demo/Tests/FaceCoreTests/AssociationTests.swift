import FaceCore
import Testing

private func square(side: Double) -> Box {
    Box(left: 100 - side / 2, top: 100 - side / 2, right: 100 + side / 2, bottom: 100 + side / 2)
}

@Suite struct AssociationTests {
    @Test func presencesThatAgreeToTwoDecimalsDoNotDecide() {
        let boxes = [square(side: 50), square(side: 50)]
        #expect(distinctFaces(boxes: boxes, presences: [0.951, 0.954], iouThreshold: 0.5) == [0])
        #expect(distinctFaces(boxes: boxes, presences: [0.95, 0.96], iouThreshold: 0.5) == [1])
    }

    @Test func aFaceOfAnotherSizeIsAnotherFace() {
        let lost = [square(side: 100)]
        let found = [square(side: 190), square(side: 250), square(side: 40)]
        for (box, expected) in zip(found, [0, nil, nil]) {
            #expect(matchLost(boxes: [box], lostBoxes: lost, maxDistance: 1) == [expected])
        }
    }
}
