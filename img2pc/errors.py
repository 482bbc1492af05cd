"""The one exception type whose text is meant for the person at the keyboard."""


class Img2pcError(Exception):
    """Something the user can act on; the message says what is wrong and what to do.

    Attributes:
        exit_code: what the command line ends with (README, "Exit codes").
    """

    exit_code = 1


class BadInputError(Img2pcError):
    """An input that cannot be read or holds nothing to work on."""

    exit_code = 3


class WeightsError(Img2pcError):
    """Weights that are missing, damaged or not ours."""

    exit_code = 4


class NotPrintableError(Img2pcError):
    """A mesh that a printer's slicer would not take as it is."""

    exit_code = 5


class BatchError(Img2pcError):
    """Some pictures, cases or clouds of many failed; the others are done."""

    exit_code = 6
