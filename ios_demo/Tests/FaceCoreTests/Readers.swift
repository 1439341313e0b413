// One reader per stage of the golden vectors: what this package gives for a case's inputs.

import FaceCore
import GoldenSupport

/// Gives what a stage gives for the inputs of a case, in the case's structure.
typealias Reader = @Sendable (Json) throws -> Json

let readers: [String: Reader] = [
    "association_sequence": readAssociation,
    "crop_pixels": readCropPixels,
    "crop_transform": readCropTransform,
    "decode": readDecode,
    "detections": readDetections,
    "euler": readEuler,
    "gate_sequence": readGate,
    "letterbox": readLetterbox,
    "one_euro_sequence": readOneEuro,
    "roi_from_landmarks": readRoiFromLandmarks,
    "rotation_filter_sequence": readRotationFilter,
    "steady_roi": readSteadyRoi,
    "tiles": readTiles,
    "tracker_sequence": readTrackerSequence,
    "upright_rotation": readUprightRotation,
    "views": readViews,
]

@Sendable private func readAssociation(_ given: Json) throws -> Json {
    let boxes = try given["boxes_xyxy"].boxes
    switch try given["function"].text {
    case "distinct_faces":
        let kept = distinctFaces(
            boxes: boxes, presences: try given["presences"].numbers,
            iouThreshold: try given["iou_threshold"].number)
        return ["kept": .list(kept.map { Json($0) })]
    case "match_lost":
        let matches = matchLost(
            boxes: boxes, lostBoxes: try given["lost_xyxy"].boxes,
            maxDistance: try given["max_distance"].number)
        return ["matches": .list(matches.map { $0.map { Json($0) } ?? .null })]
    case let name:
        throw GoldenError("expected distinct_faces or match_lost, got \(name)")
    }
}

@Sendable private func readCropPixels(_ given: Json) throws -> Json {
    let resolution = try given["resolution"].int
    let roi = try given["roi"].roi
    let mirrored = try given["mirrored"].bool
    let crop = cropFrame(
        try given["frame"].frame(order: .rgba), roi: roi, resolution: resolution,
        mirrored: mirrored)
    let rows = (0..<resolution).map { row in
        Json.list(
            (0..<resolution).map { column in
                let first = row * crop.bytesPerRow + 4 * column
                return Json(crop.bytes[first..<first + 3].map { Double($0) })
            })
    }
    return ["crop": .list(rows)]
}

@Sendable private func readCropTransform(_ given: Json) throws -> Json {
    let roi = try given["roi"].roi
    let map = cropToFrameMatrix(roi, resolution: try given["resolution"].int)
    return [
        "crop_to_frame": [Json([map.a, map.b, map.c]), Json([map.d, map.e, map.f])],
        "to_frame": Json(landmarksToFrame(try given["crop_points"].landmarks, roi: roi)),
        "to_crop": Json(landmarksToCrop(try given["frame_points"].landmarks, roi: roi)),
    ]
}

@Sendable private func readDecode(_ given: Json) throws -> Json {
    let found = decodeAlignment(
        try given["outputs"].alignmentOutputs, roi: try given["roi"].roi,
        mirrored: try given["mirrored"].bool)
    guard let found else { throw GoldenError("expected an alignment, got none") }
    return [
        "landmarks": Json(found.landmarks), "rotation": Json(found.pose.rotation),
        "presence": .number(found.presence),
    ]
}

@Sendable private func readDetections(_ given: Json) throws -> Json {
    var config = DetectorConfig()
    config.scoreThreshold = try given["score_threshold"].number
    config.iouThreshold = try given["iou_threshold"].number
    config.maxDetections = try given["max_detections"].int
    let found = try decodeDetections(
        boxes: given["outputs"]["boxes"].flat, scores: given["outputs"]["scores"].flat,
        roi: given["roi"].roi, config: config)
    return [
        "boxes_xyxy": .list(found.map { Json($0.box) }), "scores": Json(found.map(\.score)),
    ]
}

@Sendable private func readEuler(_ given: Json) throws -> Json {
    let rotation = rotationFromEuler(
        yaw: try given["yaw"].number, pitch: try given["pitch"].number,
        roll: try given["roll"].number)
    let pose = HeadPose(rotation: rotation)
    let angles = [pose.yawDeg, pose.pitchDeg, pose.rollDeg].map { $0 * .pi / 180 }
    let turnRad = try given["turn_rad"].number
    return [
        "rotation": Json(rotation), "angles": Json(angles),
        "mirrored": Json(mirrorRotation(rotation)),
        "turned": Json(rotateInImage(rotation, rotationRad: turnRad)),
    ]
}

@Sendable private func readGate(_ given: Json) throws -> Json {
    let threshold = try given["threshold"].number
    let passes = try given["presences"].numbers.map { presence in
        Json.bool(passesGate(presence: presence, threshold: threshold))
    }
    return ["passes": .list(passes)]
}

@Sendable private func readLetterbox(_ given: Json) throws -> Json {
    let layout = try letterboxLayout(
        width: given["width"].int, height: given["height"].int,
        resolution: given["resolution"].int)
    let box = [layout.left, layout.top, layout.right, layout.bottom]
    return ["box": .list(box.map { Json($0) }), "roi": Json(layout.roi)]
}

@Sendable private func readOneEuro(_ given: Json) throws -> Json {
    var config = SmoothingConfig()
    config.minCutoffHz = try given["min_cutoff_hz"].number
    config.beta = try given["beta"].number
    config.derivativeCutoffHz = try given["derivative_cutoff_hz"].number
    var filter = OneEuroFilter(config: config)
    let (stamps, sizes) = (try given["timestamps_s"].numbers, try given["face_sizes"].numbers)
    let points = try given["points"].list.enumerated().map { index, points in
        Json(
            filter.smooth(try points.landmarks, timestampS: stamps[index], faceSize: sizes[index]))
    }
    return ["points": .list(points)]
}

@Sendable private func readRoiFromLandmarks(_ given: Json) throws -> Json {
    Json(
        try roiFromLandmarks(
            given["landmarks"].landmarks, extension: given["extension"].number))
}

@Sendable private func readRotationFilter(_ given: Json) throws -> Json {
    var config = SmoothingConfig()
    config.poseMinCutoffHz = try given["min_cutoff_hz"].number
    config.poseBeta = try given["beta"].number
    config.derivativeCutoffHz = try given["derivative_cutoff_hz"].number
    var filter = RotationFilter(config: config)
    let stamps = try given["timestamps_s"].numbers
    let rotations = try given["rotations"].list.enumerated().map { index, rotation in
        Json(filter.smooth(try rotation.rotation, timestampS: stamps[index]))
    }
    return ["rotations": .list(rotations)]
}

@Sendable private func readSteadyRoi(_ given: Json) throws -> Json {
    if let roi = try given.object["roi"] {
        return ["on_grid": Json(try onGrid(roi.roi))]
    }
    var roi = try given["start"].roi
    let rois = try given["targets"].list.map { target in
        roi = try steadyRoi(current: roi, target: target.roi)
        return Json(roi)
    }
    return ["rois": .list(rois)]
}

@Sendable private func readTiles(_ given: Json) throws -> Json {
    let tiles = tilesOf(
        width: try given["width"].int, height: try given["height"].int,
        count: try given["count"].int)
    let sides = tiles.map { [$0.left, $0.top, $0.right, $0.bottom].map { Json($0) } }
    return ["tiles": .list(sides.map(Json.list))]
}

@Sendable private func readUprightRotation(_ given: Json) throws -> Json {
    guard let rotation = QuarterTurn(rawValue: try given["rotation_deg"].int) else {
        throw GoldenError("expected quarter turns, got \(given)")
    }
    return ["rotation_rad": .number(uprightRotation(rotation))]
}

@Sendable private func readViews(_ given: Json) throws -> Json {
    let mean = averageViews(
        plain: try given["plain"].alignmentOutputs, mirrored: try given["mirrored"].alignmentOutputs
    )
    let pose = [mean.pose.x, mean.pose.y, mean.pose.z].map(Double.init)
    return [
        "landmarks": [Json(mean.landmarks)], "pose": [Json(pose)],
        "presence": [Json([Double(mean.presence)])],
    ]
}
