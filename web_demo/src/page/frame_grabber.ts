/** Copies what a video or picture shows into pixels. */

type Picture = HTMLVideoElement | ImageBitmap;

/** Holds the frame that is being worked on, as a canvas and as bytes. */
export class FrameGrabber {
  /** The frame that was grabbed last. */
  readonly canvas = document.createElement("canvas");
  readonly #context: CanvasRenderingContext2D;

  constructor() {
    // Read back every frame: keep it where the processor can reach it.
    const context = this.canvas.getContext("2d", { willReadFrequently: true, alpha: false });
    if (context === null) {
      throw new Error("expected a 2D canvas, this browser has none");
    }
    this.#context = context;
  }

  /** Copy a picture; null while a video has nothing to show yet. */
  grab(picture: Picture): ImageData | null {
    const [width, height] =
      picture instanceof HTMLVideoElement
        ? [picture.videoWidth, picture.videoHeight]
        : [picture.width, picture.height];
    if (width === 0 || height === 0) {
      return null;
    }
    this.#resize(width, height);
    this.#context.drawImage(picture, 0, 0);
    return this.#context.getImageData(0, 0, width, height);
  }

  /** Take a frame from elsewhere. */
  put(frame: ImageData): void {
    this.#resize(frame.width, frame.height);
    this.#context.putImageData(frame, 0, 0);
  }

  #resize(width: number, height: number): void {
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
  }
}
