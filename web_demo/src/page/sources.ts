/** Where frames come from: a camera, a video file, a picture. */

export type Facing = "user" | "environment";

/** Why there is no picture. */
export type ProblemKind = "insecure" | "refused" | "no-camera" | "camera-in-use" | "wrong-file";

/** A source could not be opened; the message is for people. */
export class SourceError extends Error {
  override name = "SourceError";
  readonly kind: ProblemKind;

  constructor(kind: ProblemKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** A video that plays. */
export interface VideoSource {
  readonly kind: "camera" | "video";
  readonly element: HTMLVideoElement;
  /** Whether it shows the person in front of the screen. */
  readonly facing: Facing | null;
  close(): void;
}

const MAX_PICTURE_SIDE = 1280; // pixels: enough for faces of 20 pixels in a group of people
const CAMERA_WIDTH = 640;
const CAMERA_HEIGHT = 480;

/**
 * Open a camera.
 *
 * @throws SourceError - refused, missing, in use, or the page is not served securely.
 */
export async function openCamera(facing: Facing): Promise<VideoSource> {
  if (!window.isSecureContext || !("mediaDevices" in navigator)) {
    throw new SourceError(
      "insecure",
      "Browsers give the camera only to pages on https:// or localhost. Open this page there.",
    );
  }
  const size = { width: { ideal: CAMERA_WIDTH }, height: { ideal: CAMERA_HEIGHT } };
  const stream = await navigator.mediaDevices
    .getUserMedia({ audio: false, video: { ...size, facingMode: { ideal: facing } } })
    .catch((error: unknown) => {
      throw cameraError(error);
    });
  const element = quietVideo();
  element.srcObject = stream;
  const close = (): void => {
    for (const track of stream.getTracks()) {
      track.stop();
    }
    element.srcObject = null;
  };
  try {
    await element.play();
  } catch (error) {
    close();
    throw cameraError(error);
  }
  const actual = stream.getVideoTracks()[0]?.getSettings().facingMode;
  return {
    kind: "camera",
    element,
    facing: actual === "environment" ? "environment" : actual === "user" ? "user" : facing,
    close,
  };
}

/** How many cameras there are, as far as the browser tells. */
export async function countCameras(): Promise<number> {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === "videoinput").length;
}

/**
 * Open a video file.
 *
 * @throws SourceError - the browser cannot play it.
 */
export async function openVideo(file: File): Promise<VideoSource> {
  const element = quietVideo();
  const address = URL.createObjectURL(file);
  const close = (): void => {
    element.pause();
    element.removeAttribute("src");
    element.load();
    URL.revokeObjectURL(address);
  };
  element.src = address;
  element.loop = true;
  try {
    await element.play();
  } catch {
    close();
    throw wrongFile(file);
  }
  if (element.videoWidth === 0) {
    close(); // sound alone
    throw wrongFile(file);
  }
  return { kind: "video", element, facing: null, close };
}

/**
 * Read a picture file, upright, at most 1280 pixels on its longer side.
 *
 * @throws SourceError - the browser cannot read it.
 */
export async function openPicture(file: File): Promise<ImageBitmap> {
  try {
    const whole = await createImageBitmap(file, { imageOrientation: "from-image" });
    const scale = Math.min(1, MAX_PICTURE_SIDE / Math.max(whole.width, whole.height));
    if (scale === 1) {
      return whole;
    }
    const scaled = await createImageBitmap(whole, {
      resizeWidth: Math.max(1, Math.round(whole.width * scale)),
      resizeHeight: Math.max(1, Math.round(whole.height * scale)),
      resizeQuality: "high",
    });
    whole.close();
    return scaled;
  } catch {
    throw wrongFile(file);
  }
}

function quietVideo(): HTMLVideoElement {
  const element = document.createElement("video");
  element.muted = true;
  element.playsInline = true;
  return element;
}

function wrongFile(file: File): SourceError {
  return new SourceError(
    "wrong-file",
    `“${file.name}” is not a picture or video that this browser can read.`,
  );
}

const CAMERA_PROBLEMS: Readonly<Record<string, readonly [ProblemKind, string]>> = {
  NotAllowedError: [
    "refused",
    "The camera was refused. Allow it in the browser’s site settings, then try again.",
  ],
  NotFoundError: ["no-camera", "No camera was found. Connect one, or open a picture or video."],
  OverconstrainedError: ["no-camera", "No camera was found that fits. Open a picture or video."],
};

function cameraError(error: unknown): SourceError {
  const name = error instanceof DOMException ? error.name : "";
  const [kind, message] = CAMERA_PROBLEMS[name] ?? [
    "camera-in-use",
    "The camera did not start. Another app may be using it.",
  ];
  return new SourceError(kind, message);
}
