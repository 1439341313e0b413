/** One reader per stage of the golden vectors: what this package gives for a case's inputs. */

import * as core from "../src/index.js";
import { runClip } from "./clip.js";
import {
  boxesOf,
  camelCase,
  flatOf,
  frameOf,
  listOf,
  numberOf,
  numbersOf,
  objectOf,
  roiFields,
  roiOf,
  rotationOf,
  rows,
  textOf,
} from "./fields.js";
import type { Json, JsonObject } from "./golden.js";
import { blackFrame, World } from "./world.js";

/** Gives what a stage gives for the inputs of a case, in the case's structure. */
export type Reader = (given: JsonObject) => object | Promise<object>;

export const READERS: Readonly<Record<string, Reader>> = {
  association_sequence: association,
  crop_pixels: (given) => {
    const resolution = numberOf(given.resolution);
    const frame = frameOf(given.frame);
    const mirrored = given.mirrored === true;
    const crop = core.cropFrame(frame, roiOf(given.roi), resolution, mirrored);
    const pixels = rows(crop, 3);
    return {
      crop: Array.from({ length: resolution }, (_, row) =>
        pixels.slice(row * resolution, (row + 1) * resolution),
      ),
    };
  },
  crop_transform: (given) => {
    const roi = roiOf(given.roi);
    const toFrame = core.landmarksToFrame(flatOf(given.crop_points), roi);
    const toCrop = core.landmarksToCrop(flatOf(given.frame_points), roi);
    return {
      crop_to_frame: rows(core.cropToFrameMatrix(roi, numberOf(given.resolution)), 3),
      to_frame: rows(toFrame, 2),
      to_crop: rows(toCrop, 2),
    };
  },
  decode: (given) => {
    const mirrored = given.mirrored === true;
    const outputs = outputsOf(given.outputs);
    const found = core.decodeAlignment(outputs, roiOf(given.roi), mirrored);
    return {
      landmarks: rows(found?.landmarks ?? [], 2),
      rotation: rows(found?.pose.rotation ?? [], 3),
      presence: found?.presence,
    };
  },
  detections: (given) => {
    const outputs = objectOf(given.outputs);
    const found = core.decodeDetections(
      flatOf(outputs.boxes),
      flatOf(outputs.scores),
      roiOf(given.roi),
      {
        scoreThreshold: numberOf(given.score_threshold),
        iouThreshold: numberOf(given.iou_threshold),
        maxDetections: numberOf(given.max_detections),
      },
    );
    return { boxes_xyxy: found.map((one) => one.box), scores: found.map((one) => one.score) };
  },
  end_to_end: runClip,
  euler: (given) => {
    const [yaw, pitch, roll] = [given.yaw, given.pitch, given.roll].map(numberOf);
    const rotation = core.rotationFromEuler(yaw ?? 0, pitch ?? 0, roll ?? 0);
    const { yawDeg, pitchDeg, rollDeg } = core.headPose(rotation);
    return {
      rotation: rows(rotation, 3),
      angles: [yawDeg, pitchDeg, rollDeg].map((angle) => (angle * Math.PI) / 180),
      mirrored: rows(core.mirrorRotation(rotation), 3),
      turned: rows(core.rotateInImage(rotation, numberOf(given.turn_rad)), 3),
    };
  },
  gate_sequence: (given) => {
    const threshold = numberOf(given.threshold);
    const presences = numbersOf(given.presences);
    return { passes: presences.map((presence) => core.passesGate(presence, threshold)) };
  },
  letterbox: (given) => {
    const [width, height] = [numberOf(given.width), numberOf(given.height)];
    const resolution = numberOf(given.resolution);
    const { box, roi } = core.letterboxLayout(width, height, resolution);
    return { box, roi: roiFields(roi) };
  },
  one_euro_sequence: (given) => {
    const filter = new core.OneEuroFilter(
      core.makeSmoothingConfig({
        minCutoffHz: numberOf(given.min_cutoff_hz),
        beta: numberOf(given.beta),
        derivativeCutoffHz: numberOf(given.derivative_cutoff_hz),
      }),
    );
    const stamps = numbersOf(given.timestamps_s);
    const sizes = numbersOf(given.face_sizes);
    return {
      points: listOf(given.points).map((points, index) =>
        rows(filter.smooth(flatOf(points), stamps[index] ?? 0, sizes[index] ?? 0), 2),
      ),
    };
  },
  roi_from_landmarks: (given) => {
    const extension = numberOf(given.extension);
    return roiFields(core.roiFromLandmarks(flatOf(given.landmarks), extension));
  },
  rotation_filter_sequence: (given) => {
    const filter = new core.RotationFilter(
      core.makeSmoothingConfig({
        poseMinCutoffHz: numberOf(given.min_cutoff_hz),
        poseBeta: numberOf(given.beta),
        derivativeCutoffHz: numberOf(given.derivative_cutoff_hz),
      }),
    );
    const stamps = numbersOf(given.timestamps_s);
    return {
      rotations: listOf(given.rotations).map((rotation, index) =>
        rows(filter.smooth(rotationOf(rotation), stamps[index] ?? 0), 3),
      ),
    };
  },
  steady_roi: (given) => {
    if (given.roi !== undefined) {
      return { on_grid: roiFields(core.onGrid(roiOf(given.roi))) };
    }
    let roi = roiOf(given.start);
    return {
      rois: listOf(given.targets).map((target) => {
        roi = core.steadyRoi(roi, roiOf(target));
        return roiFields(roi);
      }),
    };
  },
  tiles: (given) => {
    const [width, height] = [numberOf(given.width), numberOf(given.height)];
    const tiles = core.tilesOf(width, height, numberOf(given.count));
    return { tiles: tiles.map(({ left, top, right, bottom }) => [left, top, right, bottom]) };
  },
  tracker_sequence: trackerSequence,
  upright_rotation: (given) => ({
    rotation_rad: core.uprightRotation(numberOf(given.rotation_deg)),
  }),
  views: (given) => {
    const mean = core.averageViews(outputsOf(given.plain), outputsOf(given.mirrored));
    return {
      landmarks: [rows(mean.landmarks, 2)],
      pose: [[...mean.pose]],
      presence: [[...mean.presence]],
    };
  },
};

function outputsOf(value: Json | undefined): core.AlignmentOutputs {
  const fields = objectOf(value);
  return {
    landmarks: flatOf(fields.landmarks),
    pose: flatOf(fields.pose),
    presence: flatOf(fields.presence),
  };
}

function association(given: JsonObject): object {
  const boxes = boxesOf(given.boxes_xyxy);
  if (textOf(given.function) === "distinct_faces") {
    const presences = numbersOf(given.presences);
    return { kept: core.distinctFaces(boxes, presences, numberOf(given.iou_threshold)) };
  }
  const lost = boxesOf(given.lost_xyxy);
  return { matches: core.matchLost(boxes, lost, numberOf(given.max_distance)) };
}

async function trackerSequence(given: JsonObject): Promise<object> {
  const { smoothing, ...options } = camelCase(objectOf(given.config));
  const world = new World();
  const tracker = new core.FaceTracker(world, world, {
    ...(options as Partial<core.TrackerConfig>),
    smoothing: smoothing === null ? null : core.makeSmoothingConfig(camelCase(objectOf(smoothing))),
  });
  const picture = blackFrame(numberOf(given.width), numberOf(given.height));
  const shown = numbersOf(given.points);
  const frames: object[] = [];
  for (const value of listOf(given.frames)) {
    const frame = objectOf(value);
    world.faces = listOf(frame.faces).map((one) => {
      const face = objectOf(one);
      const [x, y, size] = [numberOf(face.x), numberOf(face.y), numberOf(face.size)];
      return { x, y, size, presence: numberOf(face.presence) };
    });
    const result = await tracker.track(picture, numberOf(frame.timestamp_s));
    frames.push({
      detector_ran: result.detectorRan,
      lost_ids: result.lostIds,
      faces: result.faces.map((face) => ({
        track_id: face.trackId,
        source: face.source,
        presence: face.presence,
        roi: roiFields(face.roi),
        landmarks: shown.map((index) => [...face.landmarks.subarray(2 * index, 2 * index + 2)]),
      })),
    });
  }
  return { frames };
}
