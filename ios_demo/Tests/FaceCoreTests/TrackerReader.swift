import FaceCore
import GoldenSupport

/// Reader of the stage tracker_sequence.
@Sendable func readTrackerSequence(_ given: Json) throws -> Json {
    let world = World()
    let tracker = try FaceTracker(
        network: world, detector: world, config: trackerConfig(given["config"]))
    let picture = try blackFrame(width: given["width"].int, height: given["height"].int)
    let shown = try given["points"].list.map { try $0.int }
    let frames = try given["frames"].list.map { frame in
        world.faces = try frame["faces"].list.map { face in
            WorldFace(
                x: try face["x"].number, y: try face["y"].number, size: try face["size"].number,
                presence: try face["presence"].number)
        }
        let result = try tracker.track(picture, timestampS: frame["timestamp_s"].number)
        return [
            "detector_ran": .bool(result.detectorRan),
            "lost_ids": .list(result.lostIds.map { Json($0) }),
            "faces": .list(result.faces.map { faceFields($0, shown: shown) }),
        ] as Json
    }
    return ["frames": .list(frames)]
}

private func faceFields(_ face: Face, shown: [Int]) -> Json {
    [
        "track_id": Json(face.trackId), "source": .text(face.source.rawValue),
        "presence": .number(face.presence), "roi": Json(face.roi),
        "landmarks": Json(shown.map { face.landmarks[$0] }),
    ]
}

/// Options by their names in Python; one that is not known is an error.
func trackerConfig(_ given: Json) throws -> TrackerConfig {
    var config = TrackerConfig()
    for (name, value) in try given.object {
        switch name {
        case "max_faces": config.maxFaces = try value.int
        case "presence_threshold": config.presenceThreshold = try value.number
        case "presence_hysteresis": config.presenceHysteresis = try value.number
        case "retry_scale": config.retryScale = try value.number
        case "reattach_s": config.reattachS = try value.number
        case "reattach_distance": config.reattachDistance = try value.number
        case "detect_interval_frames": config.detectIntervalFrames = try value.int
        case "idle_after_frames": config.idleAfterFrames = try value.int
        case "idle_interval_frames": config.idleIntervalFrames = try value.int
        case "roi_extension": config.roiExtension = try value.number
        case "same_face_iou": config.sameFaceIou = try value.number
        case "smoothing": config.smoothing = value == .null ? nil : try smoothingConfig(value)
        default: throw GoldenError("expected an option of the tracker, got \(name)")
        }
    }
    return config
}

private func smoothingConfig(_ given: Json) throws -> SmoothingConfig {
    var config = SmoothingConfig()
    for (name, value) in try given.object {
        switch name {
        case "min_cutoff_hz": config.minCutoffHz = try value.number
        case "beta": config.beta = try value.number
        case "derivative_cutoff_hz": config.derivativeCutoffHz = try value.number
        case "pose_min_cutoff_hz": config.poseMinCutoffHz = try value.number
        case "pose_beta": config.poseBeta = try value.number
        default: throw GoldenError("expected an option of the smoothing, got \(name)")
        }
    }
    return config
}
