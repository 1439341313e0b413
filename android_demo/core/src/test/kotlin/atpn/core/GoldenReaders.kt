/** One reader per stage of the golden vectors: what this package gives for a case's inputs. */

package atpn.core

import kotlin.math.PI

/** The stage that needs the real networks: see `atpn.inference.EndToEndTest`. */
const val END_TO_END = "end_to_end"

/** By stage: gives what the stage gives for the inputs of a case, in the case's structure. */
val READERS: Map<String, (Fields) -> Fields> = mapOf(
    "association_sequence" to ::readAssociation,
    "crop_pixels" to ::readCropPixels,
    "crop_transform" to ::readCropTransform,
    "decode" to ::readDecode,
    "detections" to ::readDetections,
    "euler" to ::readEuler,
    "gate_sequence" to ::readGate,
    "letterbox" to ::readLetterbox,
    "one_euro_sequence" to ::readOneEuro,
    "roi_from_landmarks" to ::readRoiFromLandmarks,
    "rotation_filter_sequence" to ::readRotationFilter,
    "steady_roi" to ::readSteadyRoi,
    "tiles" to ::readTiles,
    "tracker_sequence" to ::readTracker,
    "upright_rotation" to ::readUprightRotation,
    "views" to ::readViews
)

private fun readAssociation(given: Fields): Fields {
    val boxes = boxesOf(given["boxes_xyxy"])
    return when (textOf(given["function"])) {
        "distinct_faces" -> mapOf(
            "kept" to distinctFaces(
                boxes, numbersOf(given["presences"]), numberOf(given["iou_threshold"])
            )
        )
        "match_lost" -> mapOf(
            "matches" to matchLost(
                boxes, boxesOf(given["lost_xyxy"]), numberOf(given["max_distance"])
            )
        )
        else -> throw AssertionError("expected a known function, got ${given["function"]}")
    }
}

private fun readCropPixels(given: Fields): Fields {
    val resolution = intOf(given["resolution"])
    val roi = roiOf(given["roi"])
    val crop = cropFrame(frameOf(given["frame"]), roi, resolution, given["mirrored"] == true)
    val pixels = rows(crop.map { it.toInt() and 0xff }, 3)
    return mapOf("crop" to pixels.chunked(resolution))
}

private fun readCropTransform(given: Fields): Fields {
    val roi = roiOf(given["roi"])
    val map = cropToFrameMatrix(roi, intOf(given["resolution"]))
    return mapOf(
        "crop_to_frame" to listOf(listOf(map.a, map.b, map.c), listOf(map.d, map.e, map.f)),
        "to_frame" to rows(landmarksToFrame(flatOf(given["crop_points"]), roi), 2),
        "to_crop" to rows(landmarksToCrop(flatOf(given["frame_points"]), roi), 2)
    )
}

private fun readDecode(given: Fields): Fields {
    val outputs = outputsOf(given["outputs"])
    val found = decodeAlignment(outputs, roiOf(given["roi"]), given["mirrored"] == true)
        ?: throw AssertionError("expected usable outputs")
    return mapOf(
        "landmarks" to rows(found.landmarks, 2),
        "rotation" to rows(found.pose.rotation, 3),
        "presence" to found.presence
    )
}

private fun readDetections(given: Fields): Fields {
    val outputs = fieldsOf(given["outputs"])
    val config = DetectorConfig(
        scoreThreshold = numberOf(given["score_threshold"]),
        iouThreshold = numberOf(given["iou_threshold"]),
        maxDetections = intOf(given["max_detections"])
    )
    val boxes = flatOf(outputs["boxes"])
    val found = decodeDetections(boxes, flatOf(outputs["scores"]), roiOf(given["roi"]), config)
    return mapOf(
        "boxes_xyxy" to found.map { listOfBox(it.box) },
        "scores" to found.map { it.score }
    )
}

private fun readEuler(given: Fields): Fields {
    val (yaw, pitch, roll) = listOf("yaw", "pitch", "roll").map { numberOf(given[it]) }
    val rotation = rotationFromEuler(yaw, pitch, roll)
    val pose = HeadPose(rotation)
    val anglesDeg = listOf(pose.yawDeg, pose.pitchDeg, pose.rollDeg)
    return mapOf(
        "rotation" to rows(rotation, 3),
        "angles" to anglesDeg.map { it * PI / 180.0 },
        "mirrored" to rows(mirrorRotation(rotation), 3),
        "turned" to rows(rotateInImage(rotation, numberOf(given["turn_rad"])), 3)
    )
}

private fun readGate(given: Fields): Fields {
    val threshold = numberOf(given["threshold"])
    val presences = numbersOf(given["presences"])
    return mapOf("passes" to presences.map { passesGate(it.toFloat(), threshold) })
}

private fun readLetterbox(given: Fields): Fields {
    val layout = letterboxLayout(
        intOf(given["width"]), intOf(given["height"]), intOf(given["resolution"])
    )
    return mapOf(
        "box" to listOf(layout.left, layout.top, layout.right, layout.bottom),
        "roi" to fieldsOfRoi(layout.roi)
    )
}

private fun readOneEuro(given: Fields): Fields {
    val filter = OneEuroFilter(
        SmoothingConfig(
            minCutoffHz = numberOf(given["min_cutoff_hz"]),
            beta = numberOf(given["beta"]),
            derivativeCutoffHz = numberOf(given["derivative_cutoff_hz"])
        )
    )
    val stamps = numbersOf(given["timestamps_s"])
    val sizes = numbersOf(given["face_sizes"])
    return mapOf(
        "points" to itemsOf(given["points"]).mapIndexed { index, points ->
            rows(filter.smooth(flatOf(points), stamps[index], sizes[index]), 2)
        }
    )
}

private fun readRoiFromLandmarks(given: Fields): Fields =
    fieldsOfRoi(roiFromLandmarks(flatOf(given["landmarks"]), numberOf(given["extension"])))

private fun readRotationFilter(given: Fields): Fields {
    val filter = RotationFilter(
        SmoothingConfig(
            poseMinCutoffHz = numberOf(given["min_cutoff_hz"]),
            poseBeta = numberOf(given["beta"]),
            derivativeCutoffHz = numberOf(given["derivative_cutoff_hz"])
        )
    )
    val stamps = numbersOf(given["timestamps_s"])
    return mapOf(
        "rotations" to itemsOf(given["rotations"]).mapIndexed { index, rotation ->
            rows(filter.smooth(rotationOf(rotation), stamps[index]), 3)
        }
    )
}

private fun readSteadyRoi(given: Fields): Fields {
    if ("roi" in given) {
        return mapOf("on_grid" to fieldsOfRoi(onGrid(roiOf(given["roi"]))))
    }
    var roi = roiOf(given["start"])
    return mapOf(
        "rois" to itemsOf(given["targets"]).map { target ->
            roi = steadyRoi(roi, roiOf(target))
            fieldsOfRoi(roi)
        }
    )
}

private fun readTiles(given: Fields): Fields {
    val tiles = tilesOf(intOf(given["width"]), intOf(given["height"]), intOf(given["count"]))
    return mapOf("tiles" to tiles.map { listOf(it.left, it.top, it.right, it.bottom) })
}

private fun readTracker(given: Fields): Fields {
    val world = World()
    val tracker = FaceTracker(world, world, trackerConfigOf(fieldsOf(given["config"])))
    val picture = blackFrame(intOf(given["width"]), intOf(given["height"]))
    val shown = itemsOf(given["points"]).map { intOf(it) }
    val frames = itemsOf(given["frames"]).map { fieldsOf(it) }.map { frame ->
        world.faces = itemsOf(frame["faces"]).map { fieldsOf(it) }.map { face ->
            val (x, y, size, presence) =
                listOf("x", "y", "size", "presence").map { numberOf(face[it]) }
            WorldFace(x, y, size, presence)
        }
        val result = tracker.track(picture, numberOf(frame["timestamp_s"]))
        mapOf(
            "detector_ran" to result.detectorRan,
            "lost_ids" to result.lostIds,
            "faces" to result.faces.map { face ->
                mapOf(
                    "track_id" to face.trackId,
                    "source" to nameOf(face.source),
                    "presence" to face.presence,
                    "roi" to fieldsOfRoi(face.roi),
                    "landmarks" to shown.map { face.landmarks.slice(2 * it..2 * it + 1) }
                )
            }
        )
    }
    return mapOf("frames" to frames)
}

/** A source as golden vectors write it. */
fun nameOf(source: Source): String = if (source == Source.DETECTED) "detected" else "tracked"

/** Options that a case names; one that is not known here ends the test. */
private fun trackerConfigOf(fields: Fields): TrackerConfig =
    fields.entries.fold(TrackerConfig()) { config, (name, value) ->
        when (name) {
            "max_faces" -> config.copy(maxFaces = intOf(value))
            "presence_threshold" -> config.copy(presenceThreshold = numberOf(value))
            "presence_hysteresis" -> config.copy(presenceHysteresis = numberOf(value))
            "retry_scale" -> config.copy(retryScale = numberOf(value))
            "reattach_s" -> config.copy(reattachS = numberOf(value))
            "reattach_distance" -> config.copy(reattachDistance = numberOf(value))
            "detect_interval_frames" -> config.copy(detectIntervalFrames = intOf(value))
            "idle_after_frames" -> config.copy(idleAfterFrames = intOf(value))
            "idle_interval_frames" -> config.copy(idleIntervalFrames = intOf(value))
            "roi_extension" -> config.copy(roiExtension = numberOf(value))
            "same_face_iou" -> config.copy(sameFaceIou = numberOf(value))
            "smoothing" -> config.copy(smoothing = value?.let { smoothingConfigOf(fieldsOf(it)) })
            else -> throw AssertionError("expected an option that is known, got $name")
        }
    }

private fun smoothingConfigOf(fields: Fields): SmoothingConfig =
    fields.entries.fold(SmoothingConfig()) { config, (name, value) ->
        when (name) {
            "min_cutoff_hz" -> config.copy(minCutoffHz = numberOf(value))
            "beta" -> config.copy(beta = numberOf(value))
            "derivative_cutoff_hz" -> config.copy(derivativeCutoffHz = numberOf(value))
            "pose_min_cutoff_hz" -> config.copy(poseMinCutoffHz = numberOf(value))
            "pose_beta" -> config.copy(poseBeta = numberOf(value))
            else -> throw AssertionError("expected an option that is known, got $name")
        }
    }

private fun readUprightRotation(given: Fields): Fields =
    mapOf("rotation_rad" to uprightRotation(intOf(given["rotation_deg"])))

private fun readViews(given: Fields): Fields {
    val mean = averageViews(outputsOf(given["plain"]), outputsOf(given["mirrored"]))
    return mapOf(
        "landmarks" to listOf(rows(mean.landmarks, 2)),
        "pose" to rows(mean.pose, 3),
        "presence" to rows(mean.presence, 1)
    )
}
