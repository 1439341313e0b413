/**
 * FaceTracker: detect once, then follow each face by its own landmarks.
 *
 * The only module that knows all stages. State lives in the tracks and nowhere else.
 */

package atpn.core

import kotlin.math.max
import kotlin.math.round

private const val ASSUMED_FRAME_RATE_HZ = 30.0 // of frames that come without a timestamp
private const val MIN_FACE_SIZE = 1.0 // pixels: below it a face is a point, its region has no size
private const val NO_TRACK = -1

/** A face that the network sees in the present frame. */
private class Sighting(
    val alignment: Alignment,
    val roi: Roi, // where the network looked
    val box: Box, // of the landmarks
    val nextRoi: Roi // where to look in the next frame
)

/** The smoothing of one track. */
private class Filters(config: SmoothingConfig) {
    val landmarks = OneEuroFilter(config)
    val pose = RotationFilter(config)
}

/** What is carried from frame to frame for one face. */
private class Track(
    val trackId: Int,
    val roi: Roi, // where to look next
    val box: Box, // where it was seen
    val filters: Filters? // null: no smoothing
)

/** A face that may come back. */
private class LostTrack(
    val trackId: Int,
    val box: Box, // where it was last seen
    val lostS: Double // time of the first frame without it
)

private class Followed(val track: Track, val sighting: Sighting)

/** One frame, and the wall time of the stages spent on it so far. */
private class Work(val frame: Frame) {
    private val startNs = System.nanoTime()
    var detectorMs = 0.0
    var cropMs = 0.0
    var networkMs = 0.0

    fun timings(): StageTimings {
        val spentMs = detectorMs + cropMs + networkMs
        val trackerMs = max(0.0, millisecondsSince(startNs) - spentMs)
        return StageTimings(detectorMs, cropMs, networkMs, trackerMs)
    }
}

private fun millisecondsSince(startNs: Long): Double = (System.nanoTime() - startNs) / 1e6

/**
 * Landmarks, head pose and presence of the faces in a video or a picture.
 *
 * A face is found once by the detector and then followed by the region of its own landmarks; when
 * the network no longer sees it there, nor around it, the detector is asked again.
 *
 * Same frames, same options, same results. One tracker serves one video and one thread.
 *
 * @param network looks for a face in a region, see [CropNetwork].
 * @param detector finds the faces, see [NetworkDetector].
 */
class FaceTracker(
    private val network: AlignmentNetwork,
    private val detector: Detector,
    val config: TrackerConfig = TrackerConfig()
) {
    private val uprightRad = uprightRotation(config.rotationDeg)
    private var tracks: List<Track> = emptyList() // by trackId
    private var lost: List<LostTrack> = emptyList()
    private var nextTrackId = 0
    private var frameIndex = 0
    private var detectorAsked: Int? = null // the frame of it
    private var framesWithoutFace = 0

    /**
     * Over the project's own networks.
     *
     * @param alignment runs the model "atpn"; stays the caller's to close.
     * @param detection runs the model "detector"; stays the caller's to close.
     * @throws ModelMismatchError a network has not the outputs that are needed.
     */
    constructor(
        alignment: InferenceEngine,
        detection: InferenceEngine,
        config: TrackerConfig = TrackerConfig()
    ) : this(
        CropNetwork(alignment),
        NetworkDetector(detection, config.detector, config.rotationDeg),
        config
    )

    /**
     * Follow the faces into the next frame of a video.
     *
     * @param timestampS time of the frame, seconds; used for smoothing. Null: frames since the
     *     start or [reset], at 30 per second. A time that does not increase is allowed; it starts
     *     the smoothing anew.
     * @return the faces by trackId; the frame's time; the time spent.
     * @throws InvalidFrameError the timestamp cannot be used; the tracks stay as they were.
     */
    fun track(frame: Frame, timestampS: Double? = null): TrackResult {
        val work = Work(frame)
        val nowS = timestampS ?: frameIndex / ASSUMED_FRAME_RATE_HZ
        if (!nowS.isFinite()) {
            throw InvalidFrameError("expected timestampS as finite seconds, got $timestampS")
        }
        val followed = follow(work)
        val mayReturn = lostTracks(followed, nowS)
        val detectorRan = isDetectorDue(followed.size, mayReturn.isNotEmpty())
        val known = followed.map { it.sighting.box }
        val fresh =
            if (detectorRan) find(work, known, config.maxFaces - followed.size) else emptyList()

        // Everything that can fail is behind us: from here on the state changes.
        val before = tracks.map { it.trackId }
        val detected = newTracks(fresh, mayReturn)
        val faces = (
            followed.map { smoothedFace(it, Source.TRACKED, nowS) } +
                detected.map { smoothedFace(it, Source.DETECTED, nowS) }
            ).sortedBy { it.trackId }
        val continued = followed.map { (track, sighting) ->
            Track(track.trackId, sighting.nextRoi, sighting.box, track.filters)
        }
        tracks = (continued + detected.map { it.track }).sortedBy { it.trackId }
        val now = faces.map { it.trackId }
        lost = mayReturn.filter { it.trackId !in now }
        if (detectorRan) {
            detectorAsked = frameIndex
        }
        framesWithoutFace = if (faces.isEmpty()) framesWithoutFace + 1 else 0
        frameIndex += 1
        return TrackResult(faces, nowS, work.timings(), detectorRan, before.filter { it !in now })
    }

    /**
     * Find the faces of one picture; tracks are neither used nor changed.
     *
     * @return at most `config.maxFaces` faces, best detection first, unsmoothed, with trackId -1
     *     and timestamp 0.
     */
    fun detect(frame: Frame): TrackResult {
        val work = Work(frame)
        val found = find(work, emptyList(), config.maxFaces)
        val faces = found.map { unsmoothedFace(it.alignment, it.roi) }
        return TrackResult(faces, 0.0, work.timings(), true, emptyList())
    }

    /**
     * Run the network on regions of your own; no detector, no gate, no tracks.
     *
     * @param rois the regions; [roiFromBox] makes one of a face box. Where the frames are not
     *     upright, `config.rotationDeg` turns them.
     * @return one face per region, in their order, unsmoothed, with trackId -1 and source DETECTED;
     *     `presence` tells whether the region shows a face.
     * @throws AtpnError the network gave numbers that are not finite.
     */
    fun align(frame: Frame, rois: List<Roi>): List<Face> {
        val work = Work(frame)
        return rois.map { wanted ->
            val roi = wanted.copy(rotationRad = wanted.rotationRad + uprightRad)
            val alignment = look(work, roi)
                ?: throw AtpnError("expected finite numbers from the network, got others for $roi")
            unsmoothedFace(alignment, roi)
        }
    }

    /** Forget the tracks: from here on it behaves like a new tracker, ids from 0 included. */
    fun reset() {
        tracks = emptyList()
        lost = emptyList()
        nextTrackId = 0
        frameIndex = 0
        detectorAsked = null
        framesWithoutFace = 0
    }

    private fun runNetwork(work: Work, roi: Roi, mirrored: Boolean): AlignmentOutputs {
        val startNs = System.nanoTime()
        val outputs = network.run(work.frame, roi, mirrored)
        work.cropMs += outputs.cropMs
        work.networkMs += max(0.0, millisecondsSince(startNs) - outputs.cropMs)
        return outputs
    }

    /** Run the network on a region; null when its numbers are not finite. */
    private fun look(work: Work, roi: Roi): Alignment? {
        var outputs = runNetwork(work, roi, config.mirrored)
        if (config.views == 2) {
            // An engine may write its outputs into the same arrays again.
            val first = AlignmentOutputs(
                outputs.landmarks.copyOf(),
                outputs.pose.copyOf(),
                outputs.presence.copyOf(),
                outputs.cropMs
            )
            outputs = averageViews(first, runNetwork(work, roi, !config.mirrored))
        }
        return decodeAlignment(outputs, roi, config.mirrored)
    }

    /** Look for a face in a region; null when there is none to follow. */
    private fun sight(work: Work, roi: Roi, threshold: Double): Sighting? {
        val alignment = look(work, roi)
        if (alignment == null || !passesGate(alignment.presence, threshold)) {
            return null
        }
        val target = nextRoi(alignment.landmarks, work.frame) ?: return null
        val box = boxFromLandmarks(alignment.landmarks)
        return Sighting(alignment, roi, box, steadyRoi(roi, target))
    }

    /**
     * Find the face in a region that may be off; null when there is none.
     *
     * The network looks twice: its first landmarks give the region in which a tracked face would be
     * looked for, so the first frame of a track is as good as the others. The second look is the
     * one that has to pass the gate: the first may be off by the detector's error.
     */
    private fun acquire(work: Work, roi: Roi): Sighting? {
        val first = look(work, roi) ?: return null
        val refined = nextRoi(first.landmarks, work.frame) ?: return null
        return sight(work, onGrid(refined), config.acceptPresence)
    }

    /** Look at the tracks; those that are not where they were, once more in a larger region. */
    private fun follow(work: Work): List<Followed> {
        val seen = ArrayList<Followed>()
        val missing = ArrayList<Track>()
        for (track in tracks) {
            val sighting = sight(work, track.roi, config.keepPresence)
            if (sighting == null) {
                missing.add(track)
            } else {
                seen.add(Followed(track, sighting))
            }
        }
        val followed = ArrayList(oneTrackPerFace(seen))
        if (config.retryScale == 1.0) {
            return followed
        }
        for (track in missing) {
            val larger = track.roi.copy(size = track.roi.size * config.retryScale)
            val sighting = acquire(work, larger)
            val taken = followed.map { it.sighting.box }
            if (sighting != null && !overlapsAny(sighting.box, taken, config.sameFaceIou)) {
                followed.add(Followed(track, sighting))
            }
        }
        return followed
    }

    /** The landmarks' own region; null when it is none, or one beside the picture. */
    private fun nextRoi(landmarks: Landmarks, frame: Frame): Roi? {
        val box = boxFromLandmarks(landmarks)
        if (box.longerSide < MIN_FACE_SIZE) {
            return null
        }
        val roi = roiFromBox(box, config.roiExtension, uprightRad)
        val reach = roi.size / 2.0 + 0.5 // pixel centres are at integers: the edge is half out
        val insideX = -reach < roi.centerX && roi.centerX < frame.width - 1 + reach
        val insideY = -reach < roi.centerY && roi.centerY < frame.height - 1 + reach
        return if (insideX && insideY) roi else null
    }

    /** Ask the detector for at most [limit] faces that are not among the known boxes. */
    private fun find(work: Work, known: List<Box>, limit: Int): List<Sighting> {
        val startNs = System.nanoTime()
        val detections = detector.detect(work.frame)
        work.detectorMs += millisecondsSince(startNs)
        val taken = ArrayList(known)
        val found = ArrayList<Sighting>()
        for (detection in detections) {
            if (found.size == limit) {
                break
            }
            if (overlapsAny(detection.box, taken, config.sameFaceIou)) {
                continue
            }
            val roi = roiFromBox(detection.box, config.roiExtension, uprightRad)
            val sighting = acquire(work, roi)
            if (sighting != null && !overlapsAny(sighting.box, taken, config.sameFaceIou)) {
                taken.add(sighting.box)
                found.add(sighting)
            }
        }
        return found
    }

    private fun oneTrackPerFace(seen: List<Followed>): List<Followed> {
        // Of two on one face the one has slid over that is farther from where it was seen before.
        val steadiest =
            seen.sortedByDescending { round(boxIou(it.track.box, it.sighting.box) * 10.0) }
        val boxes = steadiest.map { it.sighting.box }
        val presences = steadiest.map { it.sighting.alignment.presence.toDouble() }
        return distinctFaces(boxes, presences, config.sameFaceIou)
            .map { steadiest[it] }
            .sortedBy { it.track.trackId }
    }

    /** The faces that may come back: those lost in this frame, and lately. */
    private fun lostTracks(followed: List<Followed>, nowS: Double): List<LostTrack> {
        val kept = followed.map { it.track.trackId }
        val gone = tracks.filter { it.trackId !in kept }
            .map { LostTrack(it.trackId, it.box, nowS) }
        return (lost + gone)
            .filter { nowS - it.lostS >= 0.0 && nowS - it.lostS < config.reattachS }
            .takeLast(config.maxFaces) // bounded, also while a clock stands still
    }

    private fun isDetectorDue(numFollowed: Int, mayReturn: Boolean): Boolean {
        if (numFollowed >= config.maxFaces) {
            return false
        }
        val asked = detectorAsked ?: return true
        val isIdle = framesWithoutFace >= config.idleAfterFrames
        val interval = when {
            numFollowed > 0 -> if (mayReturn) 1 else config.detectIntervalFrames
            isIdle -> config.idleIntervalFrames
            else -> 1
        }
        return frameIndex - asked >= interval
    }

    /** A track for each face that was found: under its old id where it has come back. */
    private fun newTracks(sightings: List<Sighting>, mayReturn: List<LostTrack>): List<Followed> {
        val boxes = sightings.map { it.box }
        val matches = matchLost(boxes, mayReturn.map { it.box }, config.reattachDistance)
        return sightings.mapIndexed { index, sighting ->
            val match = matches[index]
            val trackId = if (match == null) newTrackId() else mayReturn[match].trackId
            val filters = config.smoothing?.let { Filters(it) }
            Followed(Track(trackId, sighting.nextRoi, sighting.box, filters), sighting)
        }
    }

    private fun newTrackId(): Int {
        val trackId = nextTrackId
        nextTrackId += 1
        return trackId
    }
}

private operator fun Followed.component1() = track

private operator fun Followed.component2() = sighting

private fun smoothedFace(followed: Followed, source: Source, nowS: Double): Face {
    val (track, sighting) = followed
    val seen = sighting.alignment
    val filters = track.filters
    return Face(
        track.trackId,
        filters?.landmarks?.smooth(seen.landmarks, nowS, sighting.box.longerSide)
            ?: seen.landmarks.copyOf(), // not the same array twice: a caller may write to it
        seen.landmarks,
        seen.presence,
        if (filters == null) seen.pose else HeadPose(filters.pose.smooth(seen.pose.rotation, nowS)),
        seen.pose,
        sighting.roi,
        source
    )
}

private fun unsmoothedFace(seen: Alignment, roi: Roi): Face = Face(
    NO_TRACK,
    seen.landmarks.copyOf(), // not the same array twice: a caller may write to it
    seen.landmarks,
    seen.presence,
    seen.pose,
    seen.pose,
    roi,
    Source.DETECTED
)
