/** Every error the core throws on purpose; each says what was expected and what came. */

package atpn.core

/** Base of all errors of this package. */
open class AtpnError(message: String, cause: Throwable? = null) : RuntimeException(message, cause)

/** An option has a value outside its range. */
class ConfigError(message: String) : AtpnError(message)

/** A frame, region or timestamp handed in cannot be used. */
class InvalidFrameError(message: String) : AtpnError(message)

/** The manifest is not valid or breaks its schema. */
class ManifestError(message: String, cause: Throwable? = null) : AtpnError(message, cause)

/** A model or its file is not in the manifest. */
class ModelNotFoundError(message: String, cause: Throwable? = null) : AtpnError(message, cause)

/** A model file's size or SHA-256 differs from the manifest's. */
class ChecksumError(message: String) : AtpnError(message)

/** A network's inputs or outputs are not the ones its manifest entry declares. */
class ModelMismatchError(message: String, cause: Throwable? = null) : AtpnError(message, cause)

/** The inference engine is not there, or does not start. */
class EngineUnavailableError(message: String, cause: Throwable? = null) : AtpnError(message, cause)
