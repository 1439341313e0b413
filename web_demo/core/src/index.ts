/**
 * `@atpn/core`: landmarks, head pose and presence of the faces in a video, on any JavaScript
 * platform. Bring an inference engine (`Backend`), hand in frames (`FaceTracker.track`).
 */

export * from "./association.js";
export * from "./config.js";
export * from "./crop.js";
export * from "./decode.js";
export * from "./detector.js";
export * from "./errors.js";
export * from "./gate.js";
export * from "./geometry.js";
export * from "./landmarks.js";
export * from "./letterbox.js";
export * from "./manifest.js";
export * from "./network.js";
export * from "./rotation.js";
export * from "./smoothing.js";
export * from "./tracker.js";
export * from "./types.js";
