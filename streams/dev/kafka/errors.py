"""Why a local Kafka cannot be had. Each error is one sentence for the person at the terminal.

ClusterError
├── NoJavaError          no Java 17 or later, not even the packaged one
├── JarsUnavailableError a jar is neither in the cache nor to be fetched
├── WrongChecksumError   a jar is not the one the lock file names
├── PortTakenError       an asked-for port is in use
├── WrongFolderError     the data folder holds another cluster, or is in use
└── NodeFailedError      a node exited, or was not ready in time
"""


class ClusterError(Exception):
    """A local Kafka cannot be started, stopped or found."""


class NoJavaError(ClusterError):
    """No Java 17 or later was found, not even the packaged one."""


class JarsUnavailableError(ClusterError):
    """A jar is neither in the cache nor to be fetched."""


class WrongChecksumError(ClusterError):
    """A jar differs from the one that the lock file names."""


class PortTakenError(ClusterError):
    """A port that was asked for is in use."""


class WrongFolderError(ClusterError):
    """The data folder holds a cluster of another shape, or another process uses it."""


class NodeFailedError(ClusterError):
    """A node exited before it was asked to, or was not ready in time."""
