"""STIR/SHAKEN words of the provider: exact ones only, and only the best is worth a tick."""

import pytest

from core.phone import Attestation, attestation_of


@pytest.mark.parametrize(
    ("words", "means"),
    [
        ("TN-Validation-Passed-A", Attestation.VERIFIED),
        ("TN-Validation-Passed-B", Attestation.UNKNOWN),
        ("TN-Validation-Passed-C", Attestation.UNKNOWN),
        ("TN-Validation-Passed-A-Diverted", Attestation.UNKNOWN),
        ("TN-Validation-Passed-A-Passthrough", Attestation.UNKNOWN),
        ("TN-Validation-Failed", Attestation.FAILED),
        ("TN-Validation-Failed-A", Attestation.FAILED),
        ("TN-Validation-Failed-B-Diverted", Attestation.FAILED),
        ("TN-Validation-Failed-C-Passthrough", Attestation.FAILED),
        ("No-TN-Validation", Attestation.UNKNOWN),
        ("tn-validation-passed-a", Attestation.UNKNOWN),
        ("TN-Validation-Passed-A ", Attestation.UNKNOWN),
        ("a word that is new", Attestation.UNKNOWN),
        ("", None),
        (None, None),
    ],
)
def test_words_of_the_provider(words: str | None, means: Attestation | None) -> None:
    assert attestation_of(words) is means
