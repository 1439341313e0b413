/** Every error the core throws on purpose; each says what was expected and what came. */

/** Base of all errors of this package. */
export class AtpnError extends Error {
  override name = "AtpnError";
}

/** An option has a value outside its range. */
export class ConfigError extends AtpnError {
  override name = "ConfigError";
}

/** A frame, region or timestamp handed in cannot be used. */
export class InvalidFrameError extends AtpnError {
  override name = "InvalidFrameError";
}

/** A call came while another frame was still being worked on. */
export class BusyError extends AtpnError {
  override name = "BusyError";
}

/** The manifest is not valid or breaks its schema. */
export class ManifestError extends AtpnError {
  override name = "ManifestError";
}

/** A model or its file is not in the manifest. */
export class ModelNotFoundError extends AtpnError {
  override name = "ModelNotFoundError";
}

/** A model file's size or SHA-256 differs from the manifest's. */
export class ChecksumError extends AtpnError {
  override name = "ChecksumError";
}

/** A network's inputs or outputs are not the ones its manifest entry declares. */
export class ModelMismatchError extends AtpnError {
  override name = "ModelMismatchError";
}
