/**
 * FaceTracker: detect once, then follow each face by its own landmarks.
 *
 * The only module that knows all stages. State lives in the tracks and nowhere else.
 */

import { distinctFaces, matchLost, overlapsAny } from "./association.js";
import { acceptPresence, keepPresence, makeTrackerConfig, type TrackerConfig } from "./config.js";
import { type Alignment, averageViews, decodeAlignment } from "./decode.js";
import type { Detector } from "./detector.js";
import { AtpnError, BusyError, InvalidFrameError } from "./errors.js";
import { passesGate } from "./gate.js";
import {
  boxFromLandmarks,
  boxIou,
  longerSide,
  onGrid,
  roiFromBox,
  steadyRoi,
  uprightRotation,
} from "./geometry.js";
import type { AlignmentNetwork, AlignmentOutputs } from "./network.js";
import { roundHalfEven } from "./numbers.js";
import { nowMs } from "./platform.js";
import { headPose } from "./rotation.js";
import { OneEuroFilter, RotationFilter } from "./smoothing.js";
import {
  type Box,
  checkFrame,
  type Face,
  type Frame,
  type Landmarks,
  makeRoi,
  type Roi,
  type Source,
  type StageTimings,
  type TrackResult,
} from "./types.js";

const ASSUMED_FRAME_RATE_HZ = 30; // of frames that come without a timestamp
const MIN_FACE_SIZE = 1; // pixels: below it a face is a point, and its region has no size
const NO_TRACK = -1;

/** A face that the network sees in the present frame. */
interface Sighting {
  readonly alignment: Alignment;
  readonly roi: Roi; // where the network looked
  readonly box: Box; // of the landmarks
  readonly nextRoi: Roi; // where to look in the next frame
}

/** The smoothing of one track. */
interface Filters {
  readonly landmarks: OneEuroFilter;
  readonly pose: RotationFilter;
}

/** What is carried from frame to frame for one face. */
interface Track {
  readonly trackId: number;
  readonly roi: Roi; // where to look next
  readonly box: Box; // where it was seen
  readonly filters: Filters | null; // null: no smoothing
}

/** A face that may come back. */
interface LostTrack {
  readonly trackId: number;
  readonly box: Box; // where it was last seen
  readonly lostS: number; // time of the first frame without it
}

interface Followed {
  readonly track: Track;
  readonly sighting: Sighting;
}

/** One frame with the time spent on it. */
interface Work {
  readonly frame: Frame;
  readonly clock: StageClock;
}

/** Adds up the wall time of the stages of one frame. */
class StageClock {
  readonly #startMs = nowMs();
  detectorMs = 0;
  cropMs = 0;
  networkMs = 0;

  timings(): StageTimings {
    const { detectorMs, cropMs, networkMs } = this;
    const spentMs = detectorMs + cropMs + networkMs;
    return {
      detectorMs,
      cropMs,
      networkMs,
      trackerMs: Math.max(0, nowMs() - this.#startMs - spentMs),
    };
  }
}

/**
 * Landmarks, head pose and presence of the faces in a video or a picture.
 *
 * A face is found once by the detector and then followed by the region of its own landmarks; when
 * the network no longer sees it there, nor around it, the detector is asked again.
 *
 * Same frames, same options, same results. One tracker serves one video, one frame at a time: await
 * a call before the next one.
 */
export class FaceTracker {
  readonly config: TrackerConfig;
  readonly #network: AlignmentNetwork;
  readonly #detector: Detector;
  readonly #uprightRad: number;
  #busy = false;
  #tracks: Track[] = []; // by trackId
  #lost: LostTrack[] = [];
  #nextTrackId = 0;
  #frameIndex = 0;
  #detectorAsked: number | null = null; // the frame of it
  #framesWithoutFace = 0;

  /**
   * @param network - looks for a face in a region, see `CropNetwork`.
   * @param detector - finds the faces, see `NetworkDetector`.
   * @throws ConfigError - an option is outside its range.
   */
  constructor(network: AlignmentNetwork, detector: Detector, options: Partial<TrackerConfig> = {}) {
    this.config = makeTrackerConfig(options);
    this.#network = network;
    this.#detector = detector;
    this.#uprightRad = uprightRotation(this.config.rotationDeg);
  }

  /**
   * Follow the faces into the next frame of a video.
   *
   * @param timestampS - time of the frame, seconds; used for smoothing. Left out: frames since the
   *   start or `reset()`, at 30 per second. A time that does not increase is allowed; it starts the
   *   smoothing anew.
   * @returns the faces by trackId; the frame's time; the time spent.
   * @throws InvalidFrameError - frame or timestamp cannot be used; the tracks stay as they were.
   * @throws BusyError - another frame is still being worked on.
   */
  track(frame: Frame, timestampS?: number): Promise<TrackResult> {
    return this.#exclusively(frame, (work) => this.#track(work, timestampS));
  }

  /**
   * Find the faces of one picture; tracks are neither used nor changed.
   *
   * @returns at most `config.maxFaces` faces, best detection first, unsmoothed, with trackId -1 and
   *   timestamp 0.
   * @throws InvalidFrameError - the frame cannot be used.
   * @throws BusyError - another frame is still being worked on.
   */
  detect(frame: Frame): Promise<TrackResult> {
    return this.#exclusively(frame, async (work) => {
      const found = await this.#find(work, [], this.config.maxFaces);
      const faces = found.map(({ alignment, roi }) => unsmoothedFace(alignment, roi, "detected"));
      return {
        faces,
        timestampS: 0,
        timings: work.clock.timings(),
        detectorRan: true,
        lostIds: [],
      };
    });
  }

  /**
   * Run the network on regions of your own; no detector, no gate, no tracks.
   *
   * @param rois - the regions; `roiFromBox` makes one of a face box.
   * @returns one face per region, in their order, unsmoothed, with trackId -1 and source
   *   "detected"; `presence` tells whether the region shows a face.
   * @throws InvalidFrameError - the frame cannot be used.
   * @throws BusyError - another frame is still being worked on.
   * @throws AtpnError - the network gave numbers that are not finite.
   */
  align(frame: Frame, rois: readonly Roi[]): Promise<readonly Face[]> {
    return this.#exclusively(frame, async (work) => {
      const faces: Face[] = [];
      for (const wanted of rois) {
        const { centerX, centerY, size, rotationRad } = wanted;
        const roi = makeRoi(centerX, centerY, size, rotationRad + this.#uprightRad);
        const alignment = await this.#look(work, roi);
        if (alignment === null) {
          throw new AtpnError("expected finite numbers from the network, got others");
        }
        faces.push(unsmoothedFace(alignment, roi, "detected"));
      }
      return faces;
    });
  }

  /**
   * Forget the tracks: from here on it behaves like a new tracker, ids from 0 included.
   *
   * @throws BusyError - a frame is still being worked on.
   */
  reset(): void {
    this.#requireIdle();
    this.#tracks = [];
    this.#lost = [];
    this.#nextTrackId = 0;
    this.#frameIndex = 0;
    this.#detectorAsked = null;
    this.#framesWithoutFace = 0;
  }

  #requireIdle(): void {
    if (this.#busy) {
      throw new BusyError(
        "expected one frame at a time, got a call before the last one was done: await it first",
      );
    }
  }

  async #exclusively<T>(frame: Frame, work: (work: Work) => Promise<T>): Promise<T> {
    this.#requireIdle();
    checkFrame(frame);
    this.#busy = true;
    try {
      return await work({ frame, clock: new StageClock() });
    } finally {
      this.#busy = false;
    }
  }

  async #track(work: Work, timestampS?: number): Promise<TrackResult> {
    const nowS = this.#checkTimestamp(timestampS);
    const followed = await this.#follow(work);
    const lost = this.#lostTracks(followed, nowS);
    const detectorRan = this.#isDetectorDue(followed.length, lost.length > 0);
    const known = followed.map(({ sighting }) => sighting.box);
    const limit = this.config.maxFaces - followed.length;
    const fresh = detectorRan ? await this.#find(work, known, limit) : [];

    // Everything that can fail is behind us: from here on the state changes.
    const before = this.#tracks.map((track) => track.trackId);
    const detected = this.#newTracks(fresh, lost);
    const faces = [
      ...followed.map((one) => smoothedFace(one, "tracked", nowS)),
      ...detected.map((one) => smoothedFace(one, "detected", nowS)),
    ].sort(byTrackId);
    const continued = followed.map(({ track, sighting }) => ({
      ...track,
      roi: sighting.nextRoi,
      box: sighting.box,
    }));
    this.#tracks = [...continued, ...detected.map(({ track }) => track)].sort(byTrackId);
    const now = new Set(faces.map((face) => face.trackId));
    this.#lost = lost.filter((one) => !now.has(one.trackId));
    this.#detectorAsked = detectorRan ? this.#frameIndex : this.#detectorAsked;
    this.#framesWithoutFace = faces.length > 0 ? 0 : this.#framesWithoutFace + 1;
    this.#frameIndex += 1;
    const lostIds = before.filter((id) => !now.has(id));
    return { faces, timestampS: nowS, timings: work.clock.timings(), detectorRan, lostIds };
  }

  #checkTimestamp(timestampS?: number): number {
    const seconds = timestampS ?? this.#frameIndex / ASSUMED_FRAME_RATE_HZ;
    if (!Number.isFinite(seconds)) {
      throw new InvalidFrameError(`expected timestampS as finite seconds, got ${timestampS}`);
    }
    return seconds;
  }

  async #run({ frame, clock }: Work, roi: Roi, mirrored: boolean): Promise<AlignmentOutputs> {
    const startMs = nowMs();
    const outputs = await this.#network.run(frame, roi, mirrored);
    const cropMs = outputs.cropMs ?? 0;
    clock.cropMs += cropMs;
    clock.networkMs += Math.max(0, nowMs() - startMs - cropMs);
    return outputs;
  }

  /** Run the network on a region; null when its numbers are not finite. */
  async #look(work: Work, roi: Roi): Promise<Alignment | null> {
    const { mirrored, views } = this.config;
    let outputs = await this.#run(work, roi, mirrored);
    if (views === 2) {
      outputs = averageViews(outputs, await this.#run(work, roi, !mirrored));
    }
    return decodeAlignment(outputs, roi, mirrored);
  }

  /** Look for a face in a region; null when there is none to follow. */
  async #sight(work: Work, roi: Roi, threshold: number): Promise<Sighting | null> {
    const alignment = await this.#look(work, roi);
    if (alignment === null || !passesGate(alignment.presence, threshold)) {
      return null;
    }
    const target = this.#nextRoi(alignment.landmarks, work.frame);
    if (target === null) {
      return null;
    }
    const box = boxFromLandmarks(alignment.landmarks);
    return { alignment, roi, box, nextRoi: steadyRoi(roi, target) };
  }

  /**
   * Find the face in a region that may be off; null when there is none.
   *
   * The network looks twice: its first landmarks give the region in which a tracked face would be
   * looked for, so the first frame of a track is as good as the others. The second look is the one
   * that has to pass the gate: the first may be off by the detector's error.
   */
  async #acquire(work: Work, roi: Roi): Promise<Sighting | null> {
    const first = await this.#look(work, roi);
    const refined = first === null ? null : this.#nextRoi(first.landmarks, work.frame);
    return refined === null
      ? null
      : this.#sight(work, onGrid(refined), acceptPresence(this.config));
  }

  /** Look at the tracks; those that are not where they were, once more in a larger region. */
  async #follow(work: Work): Promise<Followed[]> {
    const threshold = keepPresence(this.config);
    const seen: Followed[] = [];
    const missing: Track[] = [];
    for (const track of this.#tracks) {
      const sighting = await this.#sight(work, track.roi, threshold);
      if (sighting === null) {
        missing.push(track);
      } else {
        seen.push({ track, sighting });
      }
    }
    const followed = this.#oneTrackPerFace(seen);
    if (this.config.retryScale === 1) {
      return followed;
    }
    for (const track of missing) {
      const larger = { ...track.roi, size: track.roi.size * this.config.retryScale };
      const sighting = await this.#acquire(work, larger);
      const taken = followed.map((one) => one.sighting.box);
      if (sighting !== null && !overlapsAny(sighting.box, taken, this.config.sameFaceIou)) {
        followed.push({ track, sighting });
      }
    }
    return followed;
  }

  /** The landmarks' own region; null when it is none, or one beside the picture. */
  #nextRoi(landmarks: Landmarks, frame: Frame): Roi | null {
    const box = boxFromLandmarks(landmarks);
    if (longerSide(box) < MIN_FACE_SIZE) {
      return null;
    }
    const roi = roiFromBox(box, this.config.roiExtension, this.#uprightRad);
    const reach = roi.size / 2 + 0.5; // pixel centres are at integers: the edge is half a pixel out
    const insideX = -reach < roi.centerX && roi.centerX < frame.width - 1 + reach;
    const insideY = -reach < roi.centerY && roi.centerY < frame.height - 1 + reach;
    return insideX && insideY ? roi : null;
  }

  /** Ask the detector for at most `limit` faces that are not among the known boxes. */
  async #find(work: Work, known: readonly Box[], limit: number): Promise<Sighting[]> {
    const startMs = nowMs();
    const detections = await this.#detector.detect(work.frame);
    work.clock.detectorMs += nowMs() - startMs;
    const { sameFaceIou, roiExtension } = this.config;
    const taken = [...known];
    const found: Sighting[] = [];
    for (const { box } of detections) {
      if (found.length === limit) {
        break;
      }
      if (overlapsAny(box, taken, sameFaceIou)) {
        continue;
      }
      const sighting = await this.#acquire(work, roiFromBox(box, roiExtension, this.#uprightRad));
      if (sighting !== null && !overlapsAny(sighting.box, taken, sameFaceIou)) {
        taken.push(sighting.box);
        found.push(sighting);
      }
    }
    return found;
  }

  #oneTrackPerFace(seen: readonly Followed[]): Followed[] {
    // Of two on one face the one has slid over that is farther from where it was seen before.
    const steadiest = seen
      .map((one) => ({ one, rest: roundHalfEven(boxIou(one.track.box, one.sighting.box) * 10) }))
      .sort((a, b) => b.rest - a.rest || a.one.track.trackId - b.one.track.trackId)
      .map(({ one }) => one);
    const boxes = steadiest.map(({ sighting }) => sighting.box);
    const presences = steadiest.map(({ sighting }) => sighting.alignment.presence);
    const kept = distinctFaces(boxes, presences, this.config.sameFaceIou);
    return steadiest
      .filter((_, index) => kept.includes(index))
      .sort((a, b) => a.track.trackId - b.track.trackId);
  }

  /** The faces that may come back: those lost in this frame, and lately. */
  #lostTracks(followed: readonly Followed[], nowS: number): LostTrack[] {
    const kept = new Set(followed.map(({ track }) => track.trackId));
    const gone = this.#tracks.filter((track) => !kept.has(track.trackId));
    const lost = [
      ...this.#lost,
      ...gone.map(({ trackId, box }) => ({ trackId, box, lostS: nowS })),
    ];
    const recent = lost.filter(
      (one) => nowS - one.lostS >= 0 && nowS - one.lostS < this.config.reattachS,
    );
    return recent.slice(-this.config.maxFaces); // bounded, also while a clock stands still
  }

  #isDetectorDue(numFollowed: number, mayReturn: boolean): boolean {
    if (numFollowed >= this.config.maxFaces) {
      return false;
    }
    if (this.#detectorAsked === null) {
      return true;
    }
    const { detectIntervalFrames, idleAfterFrames, idleIntervalFrames } = this.config;
    const isIdle = this.#framesWithoutFace >= idleAfterFrames;
    const whenFaced = mayReturn ? 1 : detectIntervalFrames;
    const interval = numFollowed > 0 ? whenFaced : isIdle ? idleIntervalFrames : 1;
    return this.#frameIndex - this.#detectorAsked >= interval;
  }

  /** A track for each face that was found: under its old id where it has come back. */
  #newTracks(sightings: readonly Sighting[], lost: readonly LostTrack[]): Followed[] {
    const boxes = sightings.map((sighting) => sighting.box);
    const lostBoxes = lost.map((one) => one.box);
    const matches = matchLost(boxes, lostBoxes, this.config.reattachDistance);
    return sightings.map((sighting, index) => {
      const match = matches[index] ?? null;
      const returned = match === null ? undefined : lost[match];
      const trackId = returned?.trackId ?? this.#newTrackId();
      const { nextRoi: roi, box } = sighting;
      return { track: { trackId, roi, box, filters: this.#filters() }, sighting };
    });
  }

  #newTrackId(): number {
    const trackId = this.#nextTrackId;
    this.#nextTrackId += 1;
    return trackId;
  }

  #filters(): Filters | null {
    const { smoothing } = this.config;
    return smoothing === null
      ? null
      : { landmarks: new OneEuroFilter(smoothing), pose: new RotationFilter(smoothing) };
  }
}

function byTrackId(a: { readonly trackId: number }, b: { readonly trackId: number }): number {
  return a.trackId - b.trackId;
}

function smoothedFace({ track, sighting }: Followed, source: Source, nowS: number): Face {
  const face = unsmoothedFace(sighting.alignment, sighting.roi, source);
  const { trackId, filters } = track;
  if (filters === null) {
    return { ...face, trackId };
  }
  const size = longerSide(sighting.box);
  return {
    ...face,
    trackId,
    landmarks: filters.landmarks.smooth(face.rawLandmarks, nowS, size),
    pose: headPose(filters.pose.smooth(face.rawPose.rotation, nowS)),
  };
}

function unsmoothedFace(alignment: Alignment, roi: Roi, source: Source): Face {
  return {
    trackId: NO_TRACK,
    landmarks: alignment.landmarks.slice(), // not the same array twice: a caller may write to it
    rawLandmarks: alignment.landmarks,
    presence: alignment.presence,
    pose: alignment.pose,
    rawPose: alignment.pose,
    roi,
    source,
  };
}
