"""What can go wrong in a conversion."""


class ConversionError(Exception):
    """A network could not be converted, or the result is not the graph that was asked for."""


class ParityError(ConversionError):
    """A converted model does not agree with its reference."""


class RequestError(Exception):
    """What was asked for does not exist: an unknown model or target, an unusable file."""


class MissingToolError(Exception):
    """A converter or an engine that the request needs is not installed."""
