"""Every error the runtime raises on purpose; each says what was expected and what came."""


class AtpnError(Exception):
    """Base of all errors raised by this package."""


class BackendUnavailableError(AtpnError):
    """The inference engine asked for is not installed or cannot run here."""


class ModelNotFoundError(AtpnError):
    """A model or its file is not where the manifest says it is."""


class ChecksumError(AtpnError):
    """A model file's SHA-256 differs from the manifest's."""


class ManifestError(AtpnError):
    """The manifest is missing, is not valid JSON, or breaks its schema."""


class ModelMismatchError(AtpnError):
    """A model file's inputs or outputs are not the ones its manifest entry declares."""


class ConfigError(AtpnError, ValueError):
    """An option has a value outside its range."""


class InvalidFrameError(AtpnError, ValueError):
    """A frame, region or timestamp handed in cannot be used."""


class VideoError(AtpnError):
    """A video, picture, folder or camera cannot be read or written."""
