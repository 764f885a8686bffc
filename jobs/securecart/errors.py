"""Errors that a person can act on."""


class JobError(Exception):
    """A failure whose message says what is wrong, where, and what to do about it."""


class ContractError(JobError):
    """A data contract that cannot be used as it stands."""
